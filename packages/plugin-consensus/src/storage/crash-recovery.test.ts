// Given a machine that dies at any call to its disk, losing what was not synced: when the storage is opened again, then
// it shows a state from the last acknowledged turn on, and nothing that was never written.

import { isDwError } from '@datawarehouse/sdk';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Entry, Snapshot, SnapshotMetadata } from '../raft/types.js';
import { FileNodeStorage } from './file-node-storage.js';
import type { LogChange } from './log-change.js';
import { CrashDisk, Machine } from './testing/crash-disk.js';
import { CrashLog, type CrashLogImage } from './testing/crash-log.js';
import { SeededRandom } from './testing/seeded-random.js';
import { receiveWhole } from './testing/receive-whole.js';
import {
  EMPTY_GROUP,
  type NodeModel,
  TEST_CONF,
  applyTurn,
  difference,
  lastIndexOf,
  snapshotText,
  termOf,
} from './testing/storage-model.js';
import type { GroupStorage } from './types.js';

const GROUPS = ['a', 'b', 'c'];

/** One life of a node: from opening to the crash. */
class Life {
  readonly #machine: Machine;
  readonly #disk: CrashDisk;
  readonly #log: CrashLog;
  readonly #groups = new Map<string, GroupStorage>();
  /** The states after each turn of this life; the first is where it began. */
  readonly #states: NodeModel[];
  #acknowledged = 0;
  /** Newest snapshot of each group whose making returned. */
  readonly #snapshots: Map<string, number>;
  /** What snapshots under way cover: as in Raft it is committed, and nothing rewrites it. */
  readonly #installing = new Set<string>();
  readonly #covered = new Map<string, number>();
  /** The group that was being destroyed or replaced when the machine died: it may be as it was, or gone. */
  #ending: { readonly id: string; readonly replacing: boolean } | undefined;
  /** Groups that were made. */
  readonly #made: Set<string>;

  constructor(
    private readonly random: SeededRandom,
    before: Life | undefined,
    crashAt: number,
  ) {
    this.#machine = new Machine(crashAt);
    this.#disk =
      before === undefined ? new CrashDisk(this.#machine) : before.#disk.afterCrash(random, this.#machine);
    const image = before === undefined ? undefined : before.#crashLog();
    // A journal that is now faster, now slower than everything else.
    this.#log = new CrashLog(image, async () => {
      for (let calls = random.oneIn(2) ? 1 : random.between(2, 12); calls > 0; calls--)
        await this.#machine.call();
    });
    this.#states = before === undefined ? [new Map()] : before.#states.slice(before.#acknowledged);
    this.#ending = before === undefined ? undefined : before.#ending;
    this.#made = new Set(before === undefined ? [] : before.#made);
    this.#snapshots = new Map(before === undefined ? [] : before.#snapshots);
  }

  async run(turns: number): Promise<void> {
    const storage = await this.#open().catch((error: unknown) => {
      if (this.#machine.dead) return undefined;
      throw error;
    });
    if (storage === undefined) return;
    const pending: Promise<unknown>[] = [];
    try {
      await this.#check(storage);
      for (let turn = 0; turn < turns && !this.#machine.dead; turn++) {
        if (this.random.oneIn(8)) {
          // Nothing else is asked of a group that goes.
          await Promise.all(pending.splice(0));
          await this.#begin(storage).catch((error: unknown) => this.#onlyWhenDead(error));
          continue;
        }
        pending.push(this.#step(storage).catch((error: unknown) => this.#onlyWhenDead(error)));
        if (this.random.oneIn(3)) await Promise.all(pending.splice(0));
      }
      await Promise.all(pending);
    } finally {
      await storage.close().catch((error: unknown) => this.#onlyWhenDead(error));
    }
  }

  #onlyWhenDead(error: unknown): void {
    if (!this.#machine.dead) throw error;
  }

  #crashLog(): CrashLogImage {
    return this.#log.crash(this.random.below(3));
  }

  async #open(): Promise<FileNodeStorage> {
    const { random } = this;
    const storage = await FileNodeStorage.open({
      directory: 'unused',
      files: this.#disk,
      openLog: async () => this.#log,
      entriesPerSegment: random.between(3, 9),
      mappedSegments: 0,
      checkpointBytes: random.between(500, 5_000),
      maxLagBytes: random.between(1_000, 10_000),
      flushBytes: random.between(1, 2_000),
      cacheBytes: random.oneIn(2) ? 0 : 1_000,
    });
    const damaged = storage.damagedGroups().map(({ groupId }) => groupId);
    for (const id of this.#made) {
      // One that is replaced is never absent: it would come back as if it had never promised anything.
      expect([...storage.groupIds, ...damaged]).toContain(id);
    }
    for (const groupId of damaged) {
      // Only the one that was being replaced may be marked; replacing it goes on.
      expect({ groupId, ending: this.#ending }).toMatchObject({ ending: { id: groupId, replacing: true } });
      await storage.replaceGroup(groupId, TEST_CONF);
    }
    for (const id of GROUPS) {
      this.#groups.set(id, await storage.openGroup(id, TEST_CONF));
      this.#made.add(id);
    }
    return storage;
  }

  /** Destroys or replaces a group, while others are written to: afterwards it is as if it had never been. */
  async #begin(storage: FileNodeStorage): Promise<void> {
    const { random } = this;
    const id = GROUPS[random.below(GROUPS.length)] as string;
    const replacing = random.oneIn(2);
    this.#ending = { id, replacing };
    if (!replacing) this.#made.delete(id);
    this.#snapshots.delete(id);
    this.#covered.delete(id);
    const others = GROUPS.filter((other) => other !== id);
    const turns = Array.from({ length: random.below(6) }, () =>
      this.#write(
        storage,
        others.map((other) => this.#change(other)),
      ),
    );
    const ended = replacing ? storage.replaceGroup(id, TEST_CONF) : storage.destroyGroup(id);
    await Promise.all([ended, ...turns]);
    this.#states.splice(0, this.#states.length, ...this.#states.map((state) => without(state, id)));
    this.#ending = undefined;
    this.#groups.set(id, await storage.openGroup(id, TEST_CONF));
    this.#made.add(id);
  }

  /** Some state since the last acknowledged turn is there, whole; the model goes on from it. */
  async #check(storage: FileNodeStorage): Promise<void> {
    expect(storage.groupIds).toEqual(GROUPS);
    const why = this.#states.map((state) => this.#differences(state));
    const found = why.lastIndexOf('');
    if (found < 0) expect.fail(`no state since the last acknowledged one is there: ${why.join(' | ')}`);
    const state = this.#states[found] as NodeModel;
    const id = this.#ending?.id;
    const gone = id !== undefined && difference(this.#group(id), state.get(id) ?? EMPTY_GROUP) !== undefined;
    this.#states.splice(0, this.#states.length, gone ? without(state, id) : state);
    this.#ending = undefined;
    for (const id of GROUPS) {
      const group = this.#group(id);
      const metadata = group.snapshot()?.metadata;
      expect(metadata?.index ?? 0).toBeGreaterThanOrEqual(this.#snapshots.get(id) ?? 0);
      expect(group.firstIndex() - 1).toBeLessThanOrEqual(metadata?.index ?? 0);
      if (metadata === undefined) continue;
      const chunks: Uint8Array[] = [];
      for await (const chunk of group.readSnapshot()) chunks.push(chunk);
      expect(Buffer.concat(chunks).toString()).toBe(snapshotText(id, metadata));
    }
  }

  #differences(state: NodeModel): string {
    return GROUPS.map((id) => {
      const why = difference(this.#group(id), state.get(id) ?? EMPTY_GROUP);
      const mayBeGone = this.#ending?.id === id;
      return why !== undefined && mayBeGone ? difference(this.#group(id), EMPTY_GROUP) : why;
    })
      .filter((one) => one !== undefined)
      .join('; ');
  }

  #group(id: string): GroupStorage {
    return this.#groups.get(id) as GroupStorage;
  }

  #current(id: string): NonNullable<ReturnType<NodeModel['get']>> {
    return this.#states.at(-1)?.get(id) ?? EMPTY_GROUP;
  }

  async #step(storage: FileNodeStorage): Promise<void> {
    const { random } = this;
    const id = GROUPS[random.below(GROUPS.length)] as string;
    const choice = random.below(12);
    if (choice === 0) await this.#saveSnapshot(id);
    else if (choice === 1) await this.#group(id).compact(random.below(lastIndexOf(this.#current(id)) + 1));
    else if (choice === 2) await this.#install(storage, id);
    else await this.#write(storage, this.#turn(id));
  }

  #turn(id: string): LogChange[] {
    const ids = this.random.oneIn(2) ? [id] : GROUPS;
    return ids.map((groupId) => this.#change(groupId));
  }

  #change(groupId: string): LogChange {
    const { random } = this;
    const model = this.#current(groupId);
    const last = lastIndexOf(model);
    const floor = this.#floor(groupId);
    const overwrite = random.oneIn(4) && last > floor;
    const from = overwrite ? random.between(Math.max(floor + 1, last - 12), last) : last + 1;
    const term = Math.max(1, termOf(model, last)) + (overwrite || random.oneIn(6) ? 1 : 0);
    const entries: Entry[] = [];
    for (let index = from; index < from + random.below(6); index++) {
      const data = Buffer.alloc(random.below(60), random.below(256));
      entries.push({ index, term, type: random.oneIn(8) ? 'conf-change' : 'normal', data });
    }
    const vote = random.oneIn(3) ? undefined : `n${random.between(1, 3)}`;
    const hardState = random.oneIn(2) ? { term, vote, commit: floor } : undefined;
    return { groupId, hardState, entries, snapshot: undefined };
  }

  async #write(storage: FileNodeStorage, changes: readonly LogChange[]): Promise<void> {
    const written = storage.write(changes);
    // A refused turn changes nothing, and is refused before anything can have happened.
    this.#states.push(applyTurn(this.#states.at(-1) as NodeModel, changes));
    const turn = this.#states.length - 1;
    await written;
    this.#acknowledged = Math.max(this.#acknowledged, turn);
  }

  async #saveSnapshot(id: string): Promise<void> {
    const model = this.#current(id);
    const floor = this.#group(id).snapshot()?.metadata.index ?? 0;
    const last = lastIndexOf(model);
    if (last <= floor) return;
    const index = this.random.between(floor + 1, last);
    const metadata: SnapshotMetadata = { index, term: termOf(model, index), conf: TEST_CONF };
    this.#covered.set(id, Math.max(index, this.#covered.get(id) ?? 0));
    try {
      await this.#group(id).saveSnapshot(metadata, [Buffer.from(snapshotText(id, metadata))]);
    } catch (error) {
      // One at a time is what the storage takes.
      if (!isDwError(error, 'raft-snapshot-busy')) throw error;
      return;
    }
    this.#noteSnapshot(id, metadata.index);
  }

  #floor(id: string): number {
    return Math.max(this.#covered.get(id) ?? 0, this.#group(id).snapshot()?.metadata.index ?? 0);
  }

  async #install(storage: FileNodeStorage, id: string): Promise<void> {
    if (this.#installing.has(id)) return;
    this.#installing.add(id);
    try {
      await this.#installOne(storage, id);
    } catch (error) {
      // Its own snapshot was ready first.
      if (!isDwError(error, 'raft-snapshot-misplaced')) throw error;
    } finally {
      this.#installing.delete(id);
    }
  }

  async #installOne(storage: FileNodeStorage, id: string): Promise<void> {
    const group = this.#group(id);
    const index = lastIndexOf(this.#current(id)) + this.random.between(1, 10);
    const term = Math.max(1, termOf(this.#current(id), lastIndexOf(this.#current(id))));
    const metadata: SnapshotMetadata = { index, term, conf: TEST_CONF };
    const snapshot: Snapshot = await receiveWhole(group, metadata, [Buffer.from(snapshotText(id, metadata))]);
    // As in Raft, where what was applied meanwhile is committed, and a leader's older snapshot is ignored.
    if (index <= this.#floor(id)) return;
    const data = Buffer.from('after the snapshot');
    const entries: Entry[] = this.random.oneIn(2) ? [] : [{ index: index + 1, term, type: 'normal', data }];
    const hardState = { term, vote: undefined, commit: index };
    await this.#write(storage, [{ groupId: id, hardState, entries, snapshot }]);
    this.#noteSnapshot(id, index);
  }

  #noteSnapshot(id: string, index: number): void {
    this.#snapshots.set(id, Math.max(index, this.#snapshots.get(id) ?? 0));
  }
}

function without(state: NodeModel, id: string): NodeModel {
  const left = new Map(state);
  left.delete(id);
  return left;
}

describe('a machine that dies at any moment', () => {
  it('keeps what was acknowledged and invents nothing', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const random = new SeededRandom(seed);
        let before: Life | undefined;
        for (let life = 0; life < 3; life++) {
          const current: Life = new Life(random, before, random.between(1, 250));
          await current.run(30);
          before = current;
        }
        await new Life(random, before, Infinity).run(3);
      }),
      { numRuns: 200 },
    );
  });
});
