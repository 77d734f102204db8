// The client port in front of real engines on a network in memory: what is led here, what is passed on, and watches.

import type { DwError } from '@datawarehouse/sdk';
import { isDwError } from '@datawarehouse/sdk';
import { afterEach, describe, expect, it } from 'vitest';
import type { ProposalResult } from '../engine/proposal.js';
import { encodeCommand } from '../state/command.js';
import { TestCluster } from '../testing/cluster.test.kit.js';
import { advertisedAddress, ClientAddresses } from './client-addresses.js';
import { EngineBackend } from './engine-backend.js';
import { SILENT } from './testing.test.kit.js';

let cluster: TestCluster;

afterEach(async () => {
  await cluster.stop();
});

function backendOf(id: string): EngineBackend {
  const { engine, router } = cluster.node(id);
  return new EngineBackend(
    engine,
    router,
    cluster.clock,
    () => cluster.placements.map((placement) => placement.id),
    (key) => cluster.ring.groupOf(key),
    () => cluster.limits,
  );
}

async function started() {
  cluster = await TestCluster.start();
  const key = cluster.keyOf('group-1');
  const leader = cluster.leaderOf('group-1')!;
  const follower = cluster.ids.find((id) => id !== leader)!;
  return { key, leader, follower };
}

const put = (key: string, text: string): Buffer => encodeCommand('put', key, Buffer.from(text), undefined);

/** Runs what calls back, and lets time pass until it has. */
function called<T>(begin: (done: (result: T) => void) => void): Promise<T> {
  return cluster.settle(
    new Promise<T>((resolve) => {
      begin(resolve);
    }),
  );
}

describe('a node behind the client port', () => {
  it('proposes, reads and lists what it leads', async () => {
    const { key, leader } = await started();
    const backend = backendOf(leader);
    expect([backend.leads('group-1'), backend.leader('group-1')]).toEqual([true, leader]);
    const result = await called<ProposalResult>((done) => {
      backend.submit('group-1', 'command', put(key, 'here'), cluster.clock.now() + 4_000, done);
    });
    expect(result).toMatchObject({ ok: true, outcome: { status: 'written' } });
    for (const mode of ['linearizable', 'lease'] as const) {
      const error = await called<DwError | undefined>((done) =>
        backend.read('group-1', mode, cluster.clock.now() + 4_000, done),
      );
      expect(error).toBeUndefined();
    }
    expect(Buffer.from(backend.get('group-1', key)!.value).toString()).toBe('here');
    expect(backend.list('group-1', '', undefined, 10).map((item) => item.key)).toEqual([key]);
    expect(backend.groups().find(({ id }) => id === 'group-1')).toMatchObject({ leader });
    expect(() => backend.get('nowhere', key)).toThrow('There is no Raft group');
  });

  it('passes on what another one leads', async () => {
    const { key, leader, follower } = await started();
    const backend = backendOf(follower);
    expect([backend.leads('group-1'), backend.leader('group-1')]).toEqual([false, leader]);
    const result = await called<ProposalResult>((done) => {
      backend.relayWrite('group-1', 'command', put(key, 'there'), false, done);
    });
    expect(result.ok).toBe(true);
    const found = await cluster.settle(backend.relayGet('group-1', key));
    expect(Buffer.from(found!.value).toString()).toBe('there');
    expect(await cluster.settle(backend.relayList('group-1', '', undefined, 10))).toHaveLength(1);
  });

  it('says that a write did nothing which was given up before it was passed on', async () => {
    const { key, follower } = await started();
    const result = await called<ProposalResult>((done) => {
      cluster.network.partition(
        follower,
        cluster.ids.filter((id) => id !== follower),
      );
      const giveUp = backendOf(follower).relayWrite('group-1', 'command', put(key, 'never'), false, done);
      giveUp();
    });
    expect(!result.ok && result.error.code).toMatch(/^(aborted|no-leader|outcome-unknown)$/);
    cluster.network.heal();
  });

  it('tells the changes of a group where it leads, and says when it does not any more', async () => {
    const { key, leader, follower } = await started();
    const source = backendOf(leader).changes('group-1', false);
    let applied = 0;
    const listening = source.onApplied(() => applied++);
    const { version } = await cluster.put(leader, key, 'one');
    expect(source.changesAfter(version - 1, '', 10)).toEqual({
      through: source.lastApplied(),
      changes: [{ kind: 'put', key, version, value: new Uint8Array(Buffer.from('one')) }],
    });
    expect(applied).toBeGreaterThan(0);
    expect(source.refusal()).toBeUndefined();
    await cluster.settle(cluster.node(leader).router.transfer('group-1', follower));
    expect(isDwError(source.refusal(), 'not-leader')).toBe(true);
    expect(backendOf(leader).changes('group-1', true).refusal()).toBeUndefined();
    listening[Symbol.dispose]();
  });
});

describe('client addresses', () => {
  it('are those that others reach', async () => {
    await started();
    expect(advertisedAddress('127.0.0.1', 7_600, 'db1:7500')).toBe('127.0.0.1:7600');
    expect(advertisedAddress('0.0.0.0', 7_600, 'db1:7500')).toBe('db1:7600');
    expect(advertisedAddress('::', 7_600, '[fd00::1]:7500')).toBe('[fd00::1]:7600');
    expect(advertisedAddress('::1', 7_600, undefined)).toBe('[::1]:7600');
  });

  it('are told by each node to each, in whatever order they start, and again after a break', async () => {
    await started();
    let changes = 0;
    const at = (id: string): ClientAddresses =>
      new ClientAddresses(cluster.network.transport(id), `${id}:1`, SILENT, () => changes++);
    const known: ClientAddresses[] = [];
    for (const id of cluster.ids) {
      known.push(at(id));
      await cluster.advance(50);
    }
    const all = { n1: 'n1:1', n2: 'n2:1', n3: 'n3:1' };
    for (const addresses of known) expect(addresses.all()).toEqual(all);
    expect(changes).toBe(6);
    for (const addresses of known) addresses.stop();
  });

  it('that are none are not believed', async () => {
    await started();
    const addresses = new ClientAddresses(cluster.network.transport('n1'), 'n1:1', SILENT, () => {});
    for (const note of ['{', 'null', '{"address":"x"}', '{"address":5}', 'x'.repeat(2_000)]) {
      cluster.network.transport('n2').send('n1', 'dw.client-address', Buffer.from(note), 'control');
    }
    await cluster.advance(50);
    expect(addresses.all()).toEqual({ n1: 'n1:1' });
    addresses.stop();
  });
});
