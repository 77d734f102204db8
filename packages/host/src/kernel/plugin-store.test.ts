import { beforeEach, expect, test } from 'vitest';
import { MemoryBackingStore, isDwError } from '@datawarehouse/sdk';
import type { BatchOperation } from '@datawarehouse/sdk';
import { contextErrors } from '../errors.js';
import { PluginStore } from './plugin-store.js';

const root = 'dw://plugins/p/';
const data = new Uint8Array([1]);
let inner: MemoryBackingStore;
let closed: boolean;
let store: PluginStore;

beforeEach(() => {
  inner = new MemoryBackingStore();
  closed = false;
  store = new PluginStore(inner, {
    root,
    assertUsable: () => {
      if (closed) throw contextErrors.closed('p');
    },
    refuse: (path) => contextErrors.storeNotPermitted('p', path, root),
  });
});

const everyCall = (path: string): (() => Promise<unknown>)[] => [
  () => store.writeAsync(path, data),
  () => store.readAsync(path),
  () => store.readVersionedAsync(path),
  () => store.deleteAsync(path),
  () => store.listAsync(path),
  () => store.existsAsync(path),
  () => store.appendAsync(path, data),
  () => store.batchAsync([{ type: 'write', path, data }]),
];

async function codes(calls: readonly (() => Promise<unknown>)[]): Promise<unknown[]> {
  return Promise.all(
    calls.map(async (call) => {
      try {
        await call();
        return 'done';
      } catch (error) {
        return isDwError(error) ? error.code : error;
      }
    }),
  );
}

test('its own paths are served', async () => {
  expect(new Set(await codes(everyCall(`${root}a`)))).toEqual(new Set(['done']));
  await store.barrierAsync();
});

test.each(['dw://plugins/q/a', 'dw://plugins/p', 'dw://plugins/pp/a', '', 'dw://'])(
  'the path %j of somebody else is refused',
  async (path) => {
    expect(new Set(await codes(everyCall(path)))).toEqual(new Set(['store-not-permitted']));
    expect(await inner.listAsync('dw://')).toEqual([]);
  },
);

test('an operation that shows two faces does not get through', async () => {
  let reads = 0;
  const operation = {
    type: 'write',
    data,
    get path() {
      return reads++ === 0 ? `${root}a` : 'dw://plugins/q/a';
    },
  } as unknown as BatchOperation;
  await store.batchAsync([operation]);
  expect(await inner.listAsync('dw://')).toEqual([`${root}a`]);
});

test('after the plugin is stopped nothing is served, and closing it leaves the store open', async () => {
  await store.closeAsync();
  await inner.writeAsync('dw://x/y', data);
  closed = true;
  expect(new Set(await codes(everyCall(`${root}a`)))).toEqual(new Set(['context-closed']));
});
