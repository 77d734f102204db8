// What every IRaftLogStore has to do, as a suite that runs against any implementation.

import type { IRaftLogStore, RaftLogEntry } from '../consensus/raft-log-store.js';
import type { ContractHooks } from './contract-hooks.js';
import { rejectionCode } from './contract-hooks.js';

/** One Raft log under test. */
export interface RaftLogStoreFixture {
  readonly store: IRaftLogStore;
  /** Closes the store and all that is below it, and opens the same one again. */
  readonly reopen: () => Promise<IRaftLogStore>;
  /** Called before `compactAsync(index)`, for stores that compact only what a snapshot covers. */
  readonly beforeCompaction?: (index: number) => Promise<void>;
  /** Removes all traces. Called once, whatever happened. */
  readonly dispose: () => Promise<void>;
}

/**
 * Defines the contract suite of Raft log stores.
 * @param hooks the test framework's functions
 * @param create makes an empty store for one test
 */
export function raftLogStoreContract(hooks: ContractHooks, create: () => Promise<RaftLogStoreFixture>): void {
  const { describe, expect } = hooks;
  const it = (name: string, body: (fixture: RaftLogStoreFixture) => Promise<void>): void => {
    hooks.it(name, async () => {
      const fixture = await create();
      try {
        await body(fixture);
      } finally {
        await fixture.dispose();
      }
    });
  };
  const compact = async (
    fixture: RaftLogStoreFixture,
    store: IRaftLogStore,
    index: number,
  ): Promise<void> => {
    await fixture.beforeCompaction?.(index);
    await store.compactAsync(index);
  };

  describe('Raft log store contract', () => {
    it('is empty at first', async ({ store }) => {
      expect(await boundsOf(store)).toEqual({ first: 1, last: 0, lastTerm: 0, count: 0 });
      expect(await store.getTermAsync(0)).toBe(0);
      expect(await store.getTermAsync(1)).toBe(undefined);
      expect(await store.getAsync(1)).toBe(undefined);
      expect(await store.getRangeAsync(1, 10)).toEqual([]);
      expect(await store.getFromAsync(1)).toEqual([]);
      expect(await store.getPersistentStateAsync()).toEqual({ term: 0, votedFor: undefined });
    });

    it('gives back each entry by index, with its type, term and bytes', async ({ store }) => {
      await store.appendAsync(entries(1, 20));
      await store.appendAsync([]);
      await store.appendAsync(entries(21, 40, 2));
      expect(await boundsOf(store)).toEqual({ first: 1, last: 40, lastTerm: 2, count: 40 });
      for (const index of [1, 7, 8, 14, 20, 21, 39, 40]) {
        expect(show(await store.getAsync(index))).toBe(show(entry(index, index > 20 ? 2 : 1)));
        expect(await store.getTermAsync(index)).toBe(index > 20 ? 2 : 1);
      }
      expect(await store.getAsync(0)).toBe(undefined);
      expect(await store.getAsync(41)).toBe(undefined);
      expect(await store.getTermAsync(41)).toBe(undefined);
    });

    it('gives ranges with both ends, cut by bytes, but never to nothing', async ({ store }) => {
      await store.appendAsync(entries(1, 30));
      const range = await store.getRangeAsync(5, 12);
      expect(range.map(show)).toEqual(entries(5, 12).map(show));
      expect((await store.getRangeAsync(28, 99)).map(show)).toEqual(entries(28, 30).map(show));
      expect((await store.getFromAsync(27)).map(show)).toEqual(entries(27, 30).map(show));
      expect(await store.getRangeAsync(31, 40)).toEqual([]);
      expect((await store.getRangeAsync(6, 30, 0)).map(show)).toEqual([show(entry(6))]);
      expect((await store.getFromAsync(6, 0)).map(show)).toEqual([show(entry(6))]);
      const some = await store.getRangeAsync(6, 30, 200);
      expect(some.length > 1 && some.length < 25).toBe(true);
    });

    it('refuses a gap and changes nothing', async ({ store }) => {
      await store.appendAsync(entries(1, 3));
      expect(await rejectionCode(store.appendAsync([entry(5)]))).toBe('raft-log-gap');
      expect(await rejectionCode(store.appendAsync([entry(3)]))).toBe('raft-log-gap');
      expect(await rejectionCode(store.appendAsync([entry(4), entry(6)]))).toBe('raft-log-gap');
      expect(await boundsOf(store)).toEqual({ first: 1, last: 3, lastTerm: 1, count: 3 });
    });

    it('keeps large and empty entries', async ({ store, reopen }) => {
      const large = { ...entry(1), data: Buffer.alloc(100_000, 5) };
      const empty = { ...entry(2), data: Buffer.alloc(0) };
      await store.appendAsync([large, empty]);
      expect(show(await store.getAsync(1))).toBe(show(large));
      const again = await reopen();
      expect((await again.getFromAsync(1)).map(show)).toEqual([large, empty].map(show));
    });

    it('forgets a truncated tail for good', async ({ store, reopen }) => {
      await store.appendAsync(entries(1, 30));
      await store.truncateFromAsync(31);
      expect(await store.getLastIndexAsync()).toBe(30);
      await store.truncateFromAsync(10);
      expect(await all(store)).toEqual(entries(1, 9).map(show));
      expect(await store.getTermAsync(10)).toBe(undefined);
      const again = await reopen();
      expect(await all(again)).toEqual(entries(1, 9).map(show));
      await again.appendAsync(entries(10, 12, 4));
      const mixed = [...entries(1, 9), ...entries(10, 12, 4)].map(show);
      expect(await all(again)).toEqual(mixed);
      const last = await reopen();
      expect(await all(last)).toEqual(mixed);
      await last.truncateFromAsync(1);
      expect(await boundsOf(last)).toEqual({ first: 1, last: 0, lastTerm: 0, count: 0 });
      expect(await boundsOf(await reopen())).toEqual({ first: 1, last: 0, lastTerm: 0, count: 0 });
    });

    it('keeps index and term of what was compacted last, and renumbers nothing', async (fixture) => {
      await fixture.store.appendAsync(entries(1, 30, 3));
      await compact(fixture, fixture.store, 16);
      let { store } = fixture;
      for (let round = 0; round < 2; round++) {
        expect(await boundsOf(store)).toEqual({ first: 17, last: 30, lastTerm: 3, count: 14 });
        expect(await store.getTermAsync(16)).toBe(3);
        expect(await store.getTermAsync(15)).toBe(undefined);
        expect(await store.getAsync(16)).toBe(undefined);
        expect(await all(store)).toEqual(entries(17, 30, 3).map(show));
        expect(await rejectionCode(store.getRangeAsync(16, 20))).toBe('raft-log-compacted');
        expect(await rejectionCode(store.getFromAsync(1))).toBe('raft-log-compacted');
        expect(await rejectionCode(store.truncateFromAsync(16))).toBe('raft-log-compacted');
        store = await fixture.reopen();
      }
      // The log goes on where it was: nothing counts from the first entry that is kept.
      await store.appendAsync(entries(31, 33, 4));
      await compact(fixture, store, 10);
      expect(await boundsOf(store)).toEqual({ first: 17, last: 33, lastTerm: 4, count: 17 });
      await compact(fixture, store, 32);
      await store.truncateFromAsync(33);
      expect(await boundsOf(store)).toEqual({ first: 33, last: 32, lastTerm: 4, count: 0 });
      store = await fixture.reopen();
      expect(await boundsOf(store)).toEqual({ first: 33, last: 32, lastTerm: 4, count: 0 });
      await store.appendAsync(entries(33, 35, 5));
      expect(await all(store)).toEqual(entries(33, 35, 5).map(show));
    });

    it('keeps term and vote, also through compactions', async (fixture) => {
      const { store, reopen } = fixture;
      await store.savePersistentStateAsync({ term: 5, votedFor: 'n2' });
      expect(await store.getPersistentStateAsync()).toEqual({ term: 5, votedFor: 'n2' });
      let again = await reopen();
      expect(await again.getPersistentStateAsync()).toEqual({ term: 5, votedFor: 'n2' });
      await again.appendAsync(entries(1, 30, 5));
      await compact(fixture, again, 25);
      again = await reopen();
      expect(await again.getPersistentStateAsync()).toEqual({ term: 5, votedFor: 'n2' });
      await again.savePersistentStateAsync({ term: 6, votedFor: undefined });
      again = await reopen();
      expect(await again.getPersistentStateAsync()).toEqual({ term: 6, votedFor: undefined });
    });

    it('takes changes in the order of calls, without waiting between them', async ({ store, reopen }) => {
      await Promise.all([
        store.appendAsync(entries(1, 10)),
        store.truncateFromAsync(6),
        store.appendAsync(entries(6, 8, 2)),
        store.savePersistentStateAsync({ term: 2, votedFor: 'n1' }),
      ]);
      const wanted = [...entries(1, 5), ...entries(6, 8, 2)].map(show);
      expect(await all(store)).toEqual(wanted);
      const again = await reopen();
      expect(await all(again)).toEqual(wanted);
      expect(await again.getPersistentStateAsync()).toEqual({ term: 2, votedFor: 'n1' });
    });

    it('refuses everything once it is closed', async ({ store }) => {
      await store.appendAsync(entries(1, 3));
      await store.closeAsync();
      await store.closeAsync();
      expect(await rejectionCode(store.getLastIndexAsync())).toBe('raft-log-closed');
      expect(await rejectionCode(store.getAsync(1))).toBe('raft-log-closed');
      expect(await rejectionCode(store.countAsync())).toBe('raft-log-closed');
      expect(await rejectionCode(store.appendAsync([entry(4)]))).toBe('raft-log-closed');
    });

    it('behaves as a list does, whatever is done to it and whenever it is opened again', async (fixture) => {
      let { store } = fixture;
      let first = 1;
      let list: RaftLogEntry[] = [];
      // Always the same steps, in no order that anybody chose.
      let seed = 12_345;
      const below = (bound: number): number => {
        seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
        return (seed >>> 8) % bound;
      };
      for (let step = 0; step < 120; step++) {
        const last = first + list.length - 1;
        const choice = below(9);
        const back = below(15);
        if (choice < 4) {
          const more = entries(last + 1, last + 1 + below(12), step + 1);
          await store.appendAsync(more);
          list = [...list, ...more];
        } else if (choice < 6 && last - back >= first) {
          await store.truncateFromAsync(last - back);
          list = list.slice(0, list.length - back - 1);
          // As in Raft, where what a snapshot covers is never truncated.
        } else if (choice === 6 && last - back >= first) {
          await compact(fixture, store, last - back);
          list = list.slice(list.length - back);
          first = last - back + 1;
        } else if (choice === 7) {
          store = await fixture.reopen();
        }
        expect(await store.getFirstIndexAsync()).toBe(first);
        expect(await store.countAsync()).toBe(list.length);
        expect(await all(store)).toEqual(list.map(show));
      }
    });
  });
}

interface Bounds {
  readonly first: number;
  readonly last: number;
  readonly lastTerm: number;
  readonly count: number;
}

async function boundsOf(store: IRaftLogStore): Promise<Bounds> {
  return {
    first: await store.getFirstIndexAsync(),
    last: await store.getLastIndexAsync(),
    lastTerm: await store.getLastTermAsync(),
    count: await store.countAsync(),
  };
}

function entry(index: number, term = 1): RaftLogEntry {
  const data = Buffer.from(`entry ${index} of term ${term}`);
  return { index, term, type: index % 5 === 0 ? 'conf-change' : 'normal', data };
}

function entries(from: number, to: number, term = 1): RaftLogEntry[] {
  return Array.from({ length: to - from + 1 }, (_, at) => entry(from + at, term));
}

function show(one: RaftLogEntry | undefined): string | undefined {
  return one && `${one.index} ${one.term} ${one.type} ${Buffer.from(one.data).toString('latin1')}`;
}

async function all(store: IRaftLogStore): Promise<(string | undefined)[]> {
  return (await store.getFromAsync(await store.getFirstIndexAsync())).map(show);
}
