// Reads that trust the leader's lease: at once and without a message while it stands, and never after another node may
// lead, however little the old leader has noticed of that.

import { settle } from '@datawarehouse/sdk/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { keyValuesOf } from '../groups/group-key-values.js';
import type { ReadMode } from '../raft/types.js';
import { TestCluster } from '../testing/cluster.test.kit.js';

let cluster: TestCluster;

afterEach(async () => {
  await cluster.stop();
});

/** A read at a node, and what it got: `waiting`, the value, or the code of the refusal. */
function read(id: string, key: string, mode: ReadMode): { got: string } {
  const group = cluster.node(id).engine.group('group-1')!;
  const state = { got: 'waiting' };
  group.read(
    cluster.clock.now() + 4_000,
    (error) => {
      if (error !== undefined) state.got = error.code;
      else state.got = Buffer.from(keyValuesOf(group).get(key)?.value ?? []).toString();
    },
    mode,
  );
  return state;
}

async function started(): Promise<{ leader: string; others: string[]; key: string }> {
  cluster = await TestCluster.start({ groups: 1 });
  const key = cluster.keyOf('group-1');
  const leader = cluster.leaderOf('group-1')!;
  await cluster.put(leader, key, 'old');
  await cluster.advance(500);
  return { leader, others: cluster.ids.filter((id) => id !== leader), key };
}

describe('a lease read', () => {
  it('is answered at once by a leader that its quorum has answered lately, and needs nobody', async () => {
    const { leader, key } = await started();
    // A heartbeat is answered, and then nothing goes out or comes in any more.
    const cut = cluster.network.dropWhen((frame) => frame.from === leader || frame.to === leader);
    const leased = read(leader, key, 'lease');
    const safe = read(leader, key, 'safe');
    for (let n = 0; n < 5; n++) await settle();
    expect(leased.got).toBe('old');
    expect(safe.got).toBe('waiting');
    cut[Symbol.dispose]();
  });

  it('is not answered by a leader whose lease is over, which finds out that another one leads', async () => {
    const { leader, others, key } = await started();
    // Nothing goes in or out, and it does not see its connections break: for all it knows it leads.
    const cut = cluster.network.dropWhen((frame) => frame.from === leader || frame.to === leader);
    await cluster.until('another leader', () => cluster.leaderOf('group-1', others) !== undefined);
    await cluster.put(cluster.leaderOf('group-1', others)!, key, 'new');
    const old = cluster.node(leader).engine.group('group-1')!;
    const leased = read(leader, key, 'lease');
    await cluster.advance(100);
    expect(leased.got).not.toBe('old');
    cut[Symbol.dispose]();
    await cluster.until('the read is answered', () => leased.got !== 'waiting');
    expect(leased.got).toBe('new');
    expect(old.isLeader).toBe(false);
  });

  it('is not answered by a leader that stood still, from what it believed before', async () => {
    const { leader, others, key } = await started();
    const cut = cluster.network.dropWhen((frame) => frame.from === leader || frame.to === leader);
    // The others elect; the clock of the old leader has shown nothing meanwhile, as after SIGSTOP and SIGCONT.
    await cluster.until('another leader', () => cluster.leaderOf('group-1', others) !== undefined);
    await cluster.put(cluster.leaderOf('group-1', others)!, key, 'new');
    const leased = read(leader, key, 'lease');
    for (let n = 0; n < 5; n++) await settle();
    expect(leased.got).toBe('waiting');
    cut[Symbol.dispose]();
    await cluster.until('the read is answered', () => leased.got !== 'waiting');
    expect(leased.got).toBe('new');
  });
});
