// Whose word a leader takes for who the members are: its own log's, and only when it has applied all that was committed.

import { FakeClock } from '@datawarehouse/sdk/testing';
import { describe, expect, it } from 'vitest';
import { bootstrapConf } from '../placement.js';
import { MemberChanges, type MemberChangesOptions } from './member-changes.js';

/** A leader of term 2 that has applied entry 5, of term 1; the next one, a change of an earlier leader, is committed. */
function begin() {
  const clock = new FakeClock();
  const group = {
    id: 'g',
    term: 2,
    isLeader: true,
    leader: 'n1' as string | undefined,
    lastApplied: 5,
    raft: { lastIndex: 7 },
    conf: bootstrapConf(['n1', 'n2', 'n3']),
    storage: { term: (index: number) => (index <= 6 ? 1 : 2) },
  };
  const engine = { nodeId: 'n1', group: () => group };
  const changes = new MemberChanges({ engine, clock } as unknown as MemberChangesOptions);
  const result = changes
    .exclusively('g', async ({ conf }) => conf.voters)
    .catch((error: { code: string }) => error.code);
  return { clock, group, changes, result };
}

describe('a leader', () => {
  it('changes members only after it has applied an entry of its own term', async () => {
    const { clock, group, changes, result } = begin();
    const seen: unknown[] = [];
    void result.then((voters) => seen.push(voters));
    await clock.advanceAsync(1_000);
    Object.assign(group, { lastApplied: 6, conf: bootstrapConf(['n2', 'n3', 'n4']) });
    await clock.advanceAsync(1_000);
    // What it has applied now is still of an earlier leader, who may have changed the members once more.
    expect([seen, changes.busy('g')]).toEqual([[], true]);
    Object.assign(group, { lastApplied: 7, conf: bootstrapConf(['n3', 'n4']) });
    await clock.advanceAsync(1_000);
    expect([seen, changes.busy('g')]).toEqual([[['n3', 'n4']], false]);
  });

  it('does not begin another change before it knows how its last one ended', async () => {
    const { clock, group, changes, result } = begin();
    // Entry 8 lets a node learn; whoever asked for that was told that the outcome is unknown, and asks again.
    Object.assign(group, { lastApplied: 7, raft: { lastIndex: 8 } });
    await clock.advanceAsync(100);
    expect(await result).toEqual(['n1', 'n2', 'n3']);
    const seen: unknown[] = [];
    void changes.exclusively('g', async ({ conf }) => conf.learners).then((learners) => seen.push(learners));
    await clock.advanceAsync(1_000);
    expect(seen).toEqual([]);
    Object.assign(group, { lastApplied: 8, conf: { ...group.conf, learners: ['n4'] } });
    await clock.advanceAsync(100);
    expect(seen).toEqual([['n4']]);
  });

  it('that is deposed before that changes nothing', async () => {
    const { clock, group, changes, result } = begin();
    await clock.advanceAsync(1_000);
    Object.assign(group, { isLeader: false, leader: 'n2' });
    await clock.advanceAsync(1_000);
    expect([await result, changes.busy('g')]).toEqual(['not-leader', false]);
  });

  it('that cannot commit one says so after a while, and is free for the next request', async () => {
    const { clock, changes, result } = begin();
    await clock.advanceAsync(11_000);
    expect([await result, changes.busy('g')]).toEqual(['members-busy', false]);
  });
});
