// Who leads is decided by heartbeats, and heartbeats wait for nothing: not for a disk, not for a state machine.

import type { Clock } from '@datawarehouse/sdk';
import { FakeClock } from '@datawarehouse/sdk/testing';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Entry } from '../raft/types.js';
import { GroupState } from '../state/group-state.js';
import { KeyValueState } from '../state/key-value-state.js';
import { TestCluster } from '../testing/cluster.test.kit.js';
import { Applier } from './applier.js';
import { encodeEnvelope } from './entry-envelope.js';
import { PendingProposals } from './pending-proposals.js';
import { ProposalBudget } from './proposal.js';
import { ReadRounds } from './read-rounds.js';

const GROUP = 'group-1';

let cluster: TestCluster | undefined;

afterEach(async () => {
  await cluster?.stop();
  cluster = undefined;
});

async function begin(): Promise<{ readonly leader: string; readonly followers: readonly string[] }> {
  cluster = await TestCluster.start({ groups: 1 });
  await cluster.put('n1', 'k', 'before');
  const leader = cluster.leaderOf(GROUP) as string;
  return { leader, followers: cluster.ids.filter((id) => id !== leader) };
}

const term = (id: string) => cluster?.node(id).engine.group(GROUP)?.term;

describe('heartbeats', () => {
  it('are answered by followers whose disks hang, so that nobody is deposed', async () => {
    const { leader, followers } = await begin();
    const before = term(leader);
    for (const id of followers) cluster?.stallDisk(id);
    const write = cluster?.node(leader).store.putAsync('k', Buffer.from('after'));
    const settled = write?.catch((error: { code: string }) => error.code);
    await cluster?.advance(30_000);
    expect(await settled).toBe('outcome-unknown');
    expect(cluster?.leaderOf(GROUP)).toBe(leader);
    expect([leader, ...followers].map(term)).toEqual([before, before, before]);
    // A read needs no disk either.
    expect(await cluster?.get(leader, 'other')).toBeUndefined();
    for (const id of followers) cluster?.node(id).unstall();
    await cluster?.put(leader, 'k', 'goes on');
  });

  it('are sent by a leader whose disk hangs until it has handed over, and never again after that', async () => {
    const { leader } = await begin();
    const before = term(leader) as number;
    cluster?.stallDisk(leader);
    const write = cluster?.node(leader).store.putAsync('k', Buffer.from('after'));
    const settled = write?.catch((error: { code: string }) => error.code);
    await cluster?.until('another leads', () => {
      const now = cluster?.leaderOf(GROUP);
      return now !== undefined && now !== leader;
    });
    // By a transfer, not because it fell silent: one term on, and no election was lost meanwhile.
    expect(term(cluster?.leaderOf(GROUP) as string)).toBe(before + 1);
    await cluster?.advance(30_000);
    expect(cluster?.node(leader).engine.group(GROUP)?.isLeader).toBe(false);
    cluster?.node(leader).unstall();
    await cluster?.advance(1_000);
    await settled;
    await cluster?.put(leader, 'k', 'through the next one');
  });
});

it('answers heartbeats at once, when nothing else is to be done', async () => {
  // Given a cluster in which nobody wants anything.
  const { followers } = await begin();
  const { clock, network } = cluster as TestCluster;
  await cluster?.advance(1_000);
  const setImmediate = clock.setImmediate.bind(clock);
  let turns = 0;
  vi.spyOn(clock, 'setImmediate').mockImplementation((callback) =>
    setImmediate(() => {
      turns++;
      callback();
    }),
  );
  // When heartbeats come and go for a while.
  const answers = followers.map((id) => vi.spyOn(network.transport(id), 'send'));
  await cluster?.advance(5_000);
  // Then no answer to them has waited for a turn of the event loop.
  for (const { mock } of answers) expect(mock.calls.length).toBeGreaterThan(20);
  expect(turns).toBe(0);
});

describe('a leader that falls silent', () => {
  it('is replaced by who stands first: nobody is kept from helping by having had nothing to do since', async () => {
    const { leader, followers } = await begin();
    const running = cluster as TestCluster;
    running.network.partition([leader], [...followers]);
    const groups = followers.map((id) => running.node(id).engine.group(GROUP));
    let standing = 0;
    await running.until('another leads', () => {
      if (groups.some((group) => group?.raft.role.endsWith('candidate'))) standing++;
      return groups.some((group) => group?.isLeader);
    });
    expect(standing).toBeLessThan(3);
  });
});

describe('a state machine that is slow', () => {
  it('is given a slice at a time: between two of them the engine does everything else', () => {
    const fake = new FakeClock();
    const taken = { ms: 0, applied: 0 };
    const clock: Clock = Object.create(fake, { now: { value: () => fake.now() + taken.ms } }) as Clock;
    const state = new GroupState(new KeyValueState());
    state.apply = () => {
      taken.ms += 5;
      taken.applied++;
      return { status: 'committed' };
    };
    const pending = new PendingProposals(GROUP, new ProposalBudget());
    const reads = new ReadRounds(GROUP, 'i');
    const nothing = (): void => undefined;
    const applier = new Applier(GROUP, state, pending, reads, clock, 0, nothing, nothing);
    const data = encodeEnvelope({
      kind: 'command',
      proposalId: 1,
      proposer: 'n1',
      time: 0,
      data: new Uint8Array(1),
    });
    const entries = Array.from({ length: 1_000 }, (_, n): Entry => ({
      term: 1,
      index: n + 1,
      type: 'normal',
      data,
    }));
    applier.push({ entries, responses: [] });
    let slices = 0;
    for (let more = true; more; slices++) {
      const before = taken.applied;
      more = applier.run(clock.now() + 4);
      expect(taken.applied - before).toBeLessThanOrEqual(16);
    }
    expect(taken.applied).toBe(1_000);
    expect(slices).toBeGreaterThanOrEqual(1_000 / 16);
  });
});

describe('a disk that has failed', () => {
  it('leaves what its node has to be read as old, and everything else to the others', async () => {
    const { leader, followers } = await begin();
    const [node] = followers as [string];
    await cluster?.until('it has it', () => {
      const status = cluster?.node(node).engine.group(GROUP)?.status();
      return status?.lastApplied === cluster?.node(leader).engine.group(GROUP)?.lastApplied;
    });
    cluster?.stallDisk(node);
    cluster?.failDisk(node);
    await cluster?.put(leader, 'k', 'after').catch(() => undefined);
    await cluster?.until('it knows', () => cluster?.node(node).engine.failure?.code === 'storage-failed');
    // Its own state, though nobody else could be asked.
    cluster?.network.partition([node], [leader, followers[1] as string]);
    expect(await cluster?.get(node, 'k', { consistency: 'stale' })).toMatch(/before|after/);
    await expect(cluster?.get(node, 'k')).rejects.toMatchObject({ code: 'no-leader' });
    cluster?.network.heal();
    expect(await cluster?.get(node, 'k')).toBe('after');
  });
});
