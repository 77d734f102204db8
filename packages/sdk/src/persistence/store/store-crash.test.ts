// The file store against a plain map: random operations on a disk that crashes, tears and loses. After each crash the
// store is what the map was after some number of operations, at least all that were acknowledged.
import { describe, expect, it } from 'vitest';

import { isDwError } from '../../errors/index.js';
import { FakeClock } from '../../testing/fake-clock.js';
import type { BatchOperation } from '../backing-store.js';
import { FaultyDisk, SeededRandom } from '../testing/faulty-disk.js';
import { FileBackingStore } from './file-backing-store.js';

const SEEDS = 15;
const SESSIONS = 5;
const PATHS = ['dw://a', 'dw://a/b', 'dw://c', 'dw://c/d.e', 'dw://z'];

type State = ReadonlyMap<string, string>;

/** The states that the store went through since it was last known, and how many of the changes were acknowledged. */
class History {
  states: State[] = [new Map()];
  acknowledged = 0;
  /** Versions that were given out: none may be given out again. */
  readonly versions = new Set<number>();

  get now(): State {
    return this.states.at(-1) ?? new Map();
  }

  /** Notes a change. @returns what to call when it was acknowledged. */
  change(state: State): () => void {
    this.states.push(state);
    const count = this.states.length - 1;
    const { states } = this;
    return () => {
      if (states === this.states) this.acknowledged = Math.max(this.acknowledged, count);
    };
  }

  /** The store was found like this after a crash: it goes on from here. */
  async settleOn(store: FileBackingStore, trace: string): Promise<void> {
    const found = new Map<string, string>();
    for (const path of await store.listAsync('')) {
      const value = await store.readVersionedAsync(path);
      found.set(path, Buffer.from(value?.data ?? []).toString('latin1'));
    }
    const allowed = this.states.slice(this.acknowledged);
    const isAllowed = allowed.some((state) => same(state, found));
    expect({ trace, isAllowed }).toEqual({ trace, isAllowed: true });
    this.states = [found];
    this.acknowledged = 0;
  }
}

function same(a: State, b: State): boolean {
  return a.size === b.size && [...a].every(([path, text]) => b.get(path) === text);
}

function open(files: FaultyDisk): Promise<FileBackingStore> {
  const sizes = { segmentBytes: 64 * 1024, maxValueBytes: 30_000 };
  return FileBackingStore.open({
    ...sizes,
    directory: 'faulty',
    name: 'faulty',
    files,
    clock: new FakeClock(),
  });
}

/** Starts one random change. @returns a promise that resolves when it is acknowledged or refused. */
function change(store: FileBackingStore, history: History, random: SeededRandom): Promise<void> {
  const path = PATHS[random.below(PATHS.length)] ?? 'dw://a';
  const size = random.oneIn(4) ? random.below(9000) : random.below(100);
  const text = String.fromCharCode(33 + random.below(90)).repeat(size);
  const data = Buffer.from(text, 'latin1');
  const next = new Map(history.now);
  const kind = random.below(8);
  let work: Promise<readonly number[]>;
  if (kind < 3) {
    next.set(path, text);
    work = store.writeAsync(path, data).then((version) => [version]);
  } else if (kind < 5 && (next.get(path)?.length ?? 0) < 15_000) {
    next.set(path, (next.get(path) ?? '') + text);
    work = store.appendAsync(path, data).then(() => []);
  } else if (kind < 6) {
    next.delete(path);
    work = store.deleteAsync(path).then(() => []);
  } else {
    const other = PATHS[random.below(PATHS.length)] ?? 'dw://c';
    const operations: BatchOperation[] = [
      { type: 'delete', path: other },
      { type: 'write', path, data },
      { type: 'write', path: 'dw://batch', data },
    ];
    next.delete(other);
    next.set(path, text).set('dw://batch', text);
    work = store.batchAsync(operations);
  }
  // What changes nothing waits for nothing but its own path: that it returned says nothing of what came before it.
  const acknowledge = same(next, history.now) ? () => undefined : history.change(next);
  return work.then(
    (versions) => {
      acknowledge();
      for (const version of versions) {
        if (version === 0) continue;
        expect(history.versions.has(version)).toBe(false);
        history.versions.add(version);
      }
    },
    (error: unknown) => expect(isDwError(error, 'store-failed')).toBe(true),
  );
}

describe('a file store on a faulty disk', () => {
  it('is after any crash what it was after some operation, and has all that was acknowledged', async () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const random = new SeededRandom(seed);
      const history = new History();
      let disk = new FaultyDisk(random, { crashAt: 30 + random.below(200), shortWriteOneIn: 7 });
      for (let session = 0; session < SESSIONS; session++) {
        const trace = `seed ${seed}, session ${session}`;
        let store: FileBackingStore | undefined;
        try {
          store = await open(disk);
          if (!disk.crashed) await history.settleOn(store, trace);
        } catch (error) {
          if (!disk.crashed) throw error;
        }
        for (let turn = 0; turn < 40 && store !== undefined && !disk.crashed; turn++) {
          const opened = store;
          await Promise.all(
            Array.from({ length: 1 + random.below(6) }, () => change(opened, history, random)),
          );
          // What is read is what was written last: everything above has been acknowledged.
          const path = PATHS[random.below(PATHS.length)] ?? 'dw://a';
          const value = await store.readAsync(path).catch(() => undefined);
          if (value === undefined || disk.crashed) break;
          const text = value === null ? undefined : Buffer.from(value).toString('latin1');
          expect({ trace, ok: text === history.now.get(path) }).toEqual({ trace, ok: true });
        }
        await store?.closeAsync().catch(() => undefined);
        const faults = { crashAt: 30 + random.below(200), shortWriteOneIn: 7 };
        disk = random.oneIn(4) ? disk.afterKill(faults) : disk.afterCrash(faults);
      }
    }
  });
});
