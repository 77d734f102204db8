// Things by key, before and after the keys are spread over many maps.

import { describe, expect, it } from 'vitest';
import { KeyIndex } from './key-index.js';

describe('an index of keys', () => {
  it('finds each key as a plain map does, from one key to many thousands', () => {
    const index = new KeyIndex<number>();
    const plain = new Map<string, number>();
    for (let n = 0; n < 20_000; n++) {
      // Some keys come again, some go.
      const key = `k/${(n * 7_919) % 13_000}`;
      index.set(key, n);
      plain.set(key, n);
      if (n % 5 !== 0) continue;
      const gone = `k/${(n * 31) % 13_000}`;
      index.delete(gone);
      plain.delete(gone);
    }
    for (let n = 0; n < 13_000; n++) expect(index.get(`k/${n}`)).toBe(plain.get(`k/${n}`));
  });
});
