// What every IPersistentBackingStore has to do, as a suite that runs against any implementation.

import type { IPersistentBackingStore } from '../persistence/backing-store.js';
import type { ContractHooks } from './contract-hooks.js';
import { rejectionCode } from './contract-hooks.js';

/** One store under test. */
export interface BackingStoreFixture {
  readonly store: IPersistentBackingStore;
  /** Closes the store and opens the same one again; leave out when it does not outlive its closing. */
  readonly reopen?: () => Promise<IPersistentBackingStore>;
  /** Removes all traces. Called once, whatever happened. */
  readonly dispose: () => Promise<void>;
}

/** Paths that no store may take. */
const BAD_PATHS: readonly string[] = [
  '',
  'a',
  'dw:/a',
  'dw://',
  'dw:///a',
  'dw://a/',
  'dw://a//b',
  'dw://..',
  'dw://../etc/passwd',
  'dw://a/../b',
  'dw://a/./b',
  'dw://a/b\0c',
  'dw://a\\b',
  'dw://a b',
  'dw://a%2e%2e',
  'dw://ä',
  'DW://a',
  `dw://${'x'.repeat(1020)}`,
];

/**
 * Defines the contract suite of backing stores.
 * @param hooks the test framework's functions
 * @param create makes an empty store for one test
 */
export function backingStoreContract(hooks: ContractHooks, create: () => Promise<BackingStoreFixture>): void {
  const { describe, expect } = hooks;
  const it = (name: string, body: (fixture: BackingStoreFixture) => Promise<void>): void => {
    hooks.it(name, async () => {
      const fixture = await create();
      try {
        await body(fixture);
      } finally {
        await fixture.dispose();
      }
    });
  };

  describe('backing store contract', () => {
    it('gives back what was written, and null for what was not', async ({ store }) => {
      await store.writeAsync('dw://a/b', bytes('one'));
      expect(await readText(store, 'dw://a/b')).toBe('one');
      expect(await store.readAsync('dw://a')).toBe(null);
      expect(await store.readVersionedAsync('dw://a/c')).toBe(null);
      expect(await store.existsAsync('dw://a/b')).toBe(true);
      expect(await store.existsAsync('dw://a')).toBe(false);
    });

    it('takes every character that paths may have, and the longest path', async ({ store }) => {
      for (const path of ['dw://AZaz09._~@+=-/...', `dw://${'x'.repeat(1019)}`]) {
        await store.writeAsync(path, bytes(path));
        expect(await readText(store, path)).toBe(path);
      }
    });

    it('keeps empty values', async ({ store }) => {
      await store.writeAsync('dw://a', bytes(''));
      expect(await readText(store, 'dw://a')).toBe('');
      expect(await store.existsAsync('dw://a')).toBe(true);
    });

    it('keeps its own copy of what it is given and of what it gives', async ({ store }) => {
      const data = bytes('abc');
      const write = store.writeAsync('dw://a', data);
      data.fill(0);
      await write;
      (await store.readAsync('dw://a'))?.fill(0);
      expect(await readText(store, 'dw://a')).toBe('abc');
    });

    it('gives rising versions, also across a delete', async ({ store }) => {
      const first = await store.writeAsync('dw://a', bytes('1'));
      const second = await store.writeAsync('dw://a', bytes('2'));
      expect(await store.deleteAsync('dw://a')).toBe(true);
      const third = await store.writeAsync('dw://a', bytes('3'), { ifVersion: 'absent' });
      expect(first > 0 && second > first && third > second).toBe(true);
      expect((await store.readVersionedAsync('dw://a'))?.version).toBe(third);
    });

    it('an append is a change: the version rises', async ({ store }) => {
      const first = await store.writeAsync('dw://a', bytes('1'));
      await store.appendAsync('dw://a', bytes('2'));
      expect(((await store.readVersionedAsync('dw://a'))?.version ?? 0) > first).toBe(true);
    });

    it('writes and deletes only when the condition holds', async ({ store }) => {
      const version = await store.writeAsync('dw://a', bytes('1'), { ifVersion: 'absent' });
      const refused = 'store-version-mismatch';
      expect(await rejectionCode(store.writeAsync('dw://a', bytes('2'), { ifVersion: 'absent' }))).toBe(
        refused,
      );
      expect(await rejectionCode(store.writeAsync('dw://b', bytes('2'), { ifVersion: 1 }))).toBe(refused);
      expect(await rejectionCode(store.deleteAsync('dw://a', { ifVersion: version + 1 }))).toBe(refused);
      expect(await rejectionCode(store.deleteAsync('dw://a', { ifVersion: 'absent' }))).toBe(refused);
      expect(await readText(store, 'dw://a')).toBe('1');
      await store.writeAsync('dw://a', bytes('2'), { ifVersion: version });
      expect(await readText(store, 'dw://a')).toBe('2');
    });

    it('of many that compare and swap at once exactly one wins', async ({ store }) => {
      const version = await store.writeAsync('dw://a', bytes('0'));
      const codes = await Promise.all(
        Array.from({ length: 20 }, (_, index) =>
          rejectionCode(store.writeAsync('dw://a', bytes(String(index)), { ifVersion: version })),
        ),
      );
      expect(codes.filter((code) => code === 'resolved').length).toBe(1);
      expect(codes.filter((code) => code === 'store-version-mismatch').length).toBe(19);
    });

    it('tells whether a delete removed something', async ({ store }) => {
      await store.writeAsync('dw://a', bytes('1'));
      expect(await store.deleteAsync('dw://a')).toBe(true);
      expect(await store.deleteAsync('dw://a')).toBe(false);
      expect(await store.readAsync('dw://a')).toBe(null);
    });

    it('lists by prefix in code unit order', async ({ store }) => {
      for (const path of ['dw://a/2', 'dw://b', 'dw://a/10', 'dw://a/Z', 'dw://a/a', 'dw://ab']) {
        await store.writeAsync(path, bytes(''));
      }
      expect(await store.listAsync('dw://a/')).toEqual(['dw://a/10', 'dw://a/2', 'dw://a/Z', 'dw://a/a']);
      expect(await store.listAsync('dw://a/1')).toEqual(['dw://a/10']);
      expect(await store.listAsync('dw://a/1/')).toEqual([]);
      expect((await store.listAsync('dw://')).length).toBe(6);
      expect((await store.listAsync('')).length).toBe(6);
      await store.deleteAsync('dw://a/2');
      expect(await store.listAsync('dw://a/2')).toEqual([]);
    });

    it('appends, making the value if it is absent', async ({ store }) => {
      expect(await store.appendAsync('dw://a', bytes('ab'))).toBe(2);
      expect(await store.appendAsync('dw://a', bytes(''))).toBe(2);
      expect(await store.appendAsync('dw://a', bytes('cde'))).toBe(5);
      await store.writeAsync('dw://b', bytes(''));
      expect(await store.appendAsync('dw://b', bytes('x'))).toBe(1);
      expect(await readText(store, 'dw://a')).toBe('abcde');
      expect(await readText(store, 'dw://b')).toBe('x');
    });

    it('keeps the order of appends that run at once', async ({ store }) => {
      const lines = Array.from({ length: 200 }, (_, index) => `${index};`);
      await Promise.all(lines.map((line) => store.appendAsync('dw://a', bytes(line))));
      expect(await readText(store, 'dw://a')).toBe(lines.join(''));
    });

    it('applies a batch whole and in order', async ({ store }) => {
      await store.writeAsync('dw://a', bytes('old'));
      const versions = await store.batchAsync([
        { type: 'delete', path: 'dw://a' },
        { type: 'write', path: 'dw://a', data: bytes('new'), ifVersion: 'absent' },
        { type: 'write', path: 'dw://b', data: bytes('b') },
        { type: 'delete', path: 'dw://none' },
      ]);
      expect(versions.map((version) => version > 0)).toEqual([false, true, true, false]);
      expect(await readText(store, 'dw://a')).toBe('new');
      expect((await store.readVersionedAsync('dw://b'))?.version).toBe(versions[2]);
      expect(await store.batchAsync([])).toEqual([]);
    });

    it('applies nothing of a batch when one condition does not hold, or one path is not allowed', async ({
      store,
    }) => {
      await store.writeAsync('dw://a', bytes('old'));
      const first = { type: 'write', path: 'dw://a', data: bytes('new') } as const;
      const second = { type: 'write', path: 'dw://b', data: bytes('b'), ifVersion: 7 } as const;
      const third = { type: 'delete', path: 'dw://..' } as const;
      expect(await rejectionCode(store.batchAsync([first, second]))).toBe('store-version-mismatch');
      expect(await rejectionCode(store.batchAsync([first, third]))).toBe('store-invalid-path');
      expect(await readText(store, 'dw://a')).toBe('old');
      expect(await store.existsAsync('dw://b')).toBe(false);
    });

    it('refuses paths that are not allowed, in every method', async ({ store }) => {
      for (const path of BAD_PATHS) {
        const codes = await Promise.all([
          rejectionCode(store.writeAsync(path, bytes(''))),
          rejectionCode(store.readAsync(path)),
          rejectionCode(store.readVersionedAsync(path)),
          rejectionCode(store.deleteAsync(path)),
          rejectionCode(store.existsAsync(path)),
          rejectionCode(store.appendAsync(path, bytes(''))),
          rejectionCode(store.batchAsync([{ type: 'delete', path }])),
        ]);
        expect([path, ...codes]).toEqual([path, ...codes.map(() => 'store-invalid-path')]);
      }
      for (const prefix of ['a', 'dw:///', 'dw://../', 'dw://a\0', `dw://${'x'.repeat(1020)}`]) {
        expect([prefix, await rejectionCode(store.listAsync(prefix))]).toEqual([
          prefix,
          'store-invalid-path',
        ]);
      }
    });

    it('a barrier waits for everything before it', async ({ store }) => {
      const write = store.writeAsync('dw://a', bytes('1'));
      await store.barrierAsync();
      await write;
      expect(await readText(store, 'dw://a')).toBe('1');
    });

    it('closing waits for writes, refuses what comes after, and may be repeated', async ({ store }) => {
      const write = store.writeAsync('dw://a', bytes('1'));
      await store.closeAsync();
      await store.closeAsync();
      expect((await write) > 0).toBe(true);
      expect(await rejectionCode(store.readAsync('dw://a'))).toBe('store-closed');
      expect(await rejectionCode(store.writeAsync('dw://a', bytes('')))).toBe('store-closed');
      expect(await rejectionCode(store.listAsync('dw://'))).toBe('store-closed');
      expect(await rejectionCode(store.barrierAsync())).toBe('store-closed');
    });

    it('opened again it holds what it held, and gives no version twice', async ({ store, reopen }) => {
      if (reopen === undefined) return;
      await store.writeAsync('dw://a', bytes('1'));
      await store.appendAsync('dw://c', bytes('3'));
      await store.appendAsync('dw://c', bytes('4'));
      const gone = await store.writeAsync('dw://b', bytes('2'));
      await store.deleteAsync('dw://b');
      const before = await store.readVersionedAsync('dw://c');
      const again = await reopen();
      expect(await again.listAsync('dw://')).toEqual(['dw://a', 'dw://c']);
      expect(await readText(again, 'dw://c')).toBe('34');
      expect((await again.readVersionedAsync('dw://c'))?.version).toBe(before?.version);
      expect((await again.writeAsync('dw://b', bytes('5'))) > gone).toBe(true);
    });
  });
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

async function readText(store: IPersistentBackingStore, path: string): Promise<string | null> {
  const data = await store.readAsync(path);
  return data === null ? null : new TextDecoder().decode(data);
}
