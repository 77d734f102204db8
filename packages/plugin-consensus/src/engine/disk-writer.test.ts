// Responses leave in order and only after their writes; what needs no disk waits for what does, and costs no write.

import { FakeClock } from '@datawarehouse/sdk/testing';
import { describe, expect, it } from 'vitest';
import type { HardState, StorageAppend } from '../raft/types.js';
import type { GroupWrite, NodeStorage } from '../storage/types.js';
import { DiskWriter } from './disk-writer.js';

function append(mustSync: boolean, hardState?: HardState): StorageAppend {
  return { mustSync, hardState, entries: [], snapshot: undefined, responses: [] };
}

const hard = (commit: number): HardState => ({ term: 1, vote: 'n1', commit });

function setUp() {
  const clock = new FakeClock();
  const writes: {
    readonly what: readonly GroupWrite[];
    readonly done: () => void;
    readonly fail: () => void;
  }[] = [];
  const durable: string[] = [];
  const failures: unknown[] = [];
  const storage = {
    write: (what: readonly GroupWrite[]) =>
      new Promise<void>((resolve, reject) => {
        writes.push({ what, done: resolve, fail: () => reject(new Error('broken')) });
      }),
  } as unknown as NodeStorage;
  const writer = new DiskWriter(
    storage,
    clock,
    (jobs) => durable.push(...jobs.map((job) => job.group.id)),
    (error) => failures.push(error),
  );
  return { clock, writes, durable, failures, writer };
}

const microtasks = (): Promise<void> => Promise.resolve().then(() => undefined);

describe('DiskWriter', () => {
  it('writes the appends of all groups at once, and releases them when that write is durable', async () => {
    const { writes, durable, writer } = setUp();
    writer.add({ group: { id: 'a' }, append: append(true) });
    writer.add({ group: { id: 'b' }, append: append(true) });
    writer.flush();
    expect(writes).toHaveLength(1);
    expect(durable).toEqual([]);
    writes[0]!.done();
    await microtasks();
    expect(durable).toEqual(['a', 'b']);
    expect(writer.depth).toBe(0);
  });

  it('holds what needs no disk until all before it is durable, without a write of its own', async () => {
    const { writes, durable, writer } = setUp();
    writer.add({ group: { id: 'a' }, append: append(true) });
    writer.flush();
    writer.add({ group: { id: 'b' }, append: append(false, hard(5)) });
    writer.flush();
    expect(writes).toHaveLength(1);
    expect(durable).toEqual([]);
    writes[0]!.done();
    await microtasks();
    expect(durable).toEqual(['a', 'b']);
    writer.add({ group: { id: 'c' }, append: append(false) });
    writer.flush();
    expect(durable).toEqual(['a', 'b', 'c']);
  });

  it('takes a commit index along with the next write', () => {
    const { writes, writer } = setUp();
    writer.add({ group: { id: 'a' }, append: append(false, hard(5)) });
    writer.flush();
    writer.add({ group: { id: 'b' }, append: append(true) });
    writer.flush();
    expect(writes[0]!.what.map(({ groupId, hardState }) => [groupId, hardState?.commit])).toEqual([
      ['b', undefined],
      ['a', 5],
    ]);
    expect(writer.takeLazy()).toEqual([]);
  });

  it('releases nothing of a write that failed, and says how long the disk has stalled', async () => {
    const { clock, writes, durable, failures, writer } = setUp();
    writer.add({ group: { id: 'a' }, append: append(true) });
    writer.flush();
    clock.advance(70);
    expect(writer.stalledMs).toBe(70);
    writes[0]!.fail();
    await microtasks();
    expect(durable).toEqual([]);
    expect(failures).toHaveLength(1);
  });

  it('writes nothing any more of a replica that was closed, and everything of the others', async () => {
    const { writes, writer } = setUp();
    const closed = { id: 'a' };
    // One commit index that waits for a write, one append that waits for the end of the turn.
    writer.add({ group: closed, append: append(false, hard(3)) });
    writer.flush();
    writer.add({ group: closed, append: append(true, hard(4)) });
    writer.add({ group: { id: 'b' }, append: append(true) });
    writer.forget(closed);
    writer.flush();
    expect(writes[0]!.what.map(({ groupId }) => groupId)).toEqual(['b']);
    expect(writer.takeLazy()).toEqual([]);
  });
});
