import { describe, expect, it } from 'vitest';

import { backingStoreContract } from '../testing/backing-store-contract.js';
import { rejectionCode } from '../testing/contract-hooks.js';
import { MemoryBackingStore } from './memory-backing-store.js';

backingStoreContract({ describe, it, expect }, async () => {
  const store = new MemoryBackingStore();
  return { store, dispose: () => store.closeAsync() };
});

describe('MemoryBackingStore', () => {
  it('refuses what is over its bounds, and changes nothing', async () => {
    const store = new MemoryBackingStore({ maxValueBytes: 4, maxBytes: 6, maxPaths: 2 });
    expect(await rejectionCode(store.writeAsync('dw://a', new Uint8Array(5)))).toBe('store-value-too-large');
    await store.writeAsync('dw://a', new Uint8Array(4));
    expect(await rejectionCode(store.writeAsync('dw://b', new Uint8Array(3)))).toBe('store-full');
    expect(await rejectionCode(store.appendAsync('dw://a', new Uint8Array(1)))).toBe('store-value-too-large');
    await store.writeAsync('dw://b', new Uint8Array(0));
    expect(await rejectionCode(store.writeAsync('dw://c', new Uint8Array(0)))).toBe('store-full');
    expect(await store.listAsync('dw://')).toEqual(['dw://a', 'dw://b']);
    await store.deleteAsync('dw://a');
    await store.writeAsync('dw://c', new Uint8Array(4));
  });
});
