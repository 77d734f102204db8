import { describe, expect, it } from 'vitest';
import { entriesBytes, entryBytes, entryOverheadBytes, limitBytes, payloadBytes } from './entry-size.js';
import type { Entry } from './types.js';

const entries: readonly Entry[] = [1, 2, 3].map((index) => ({
  index,
  term: 1,
  type: 'normal',
  data: new Uint8Array(10),
}));
const each = 10 + entryOverheadBytes;

describe('the size of entries', () => {
  it('counts the frame for messages, and only data for proposals', () => {
    expect([entriesBytes(entries), payloadBytes(entries)]).toEqual([3 * each, 30]);
    expect(entryBytes(entries[0] as Entry)).toBe(each);
  });

  it('limits to a prefix, of one at least', () => {
    const lengths = [0, each, 2 * each - 1, 2 * each, 3 * each].map(
      (bytes) => limitBytes(entries, bytes).length,
    );
    expect(lengths).toEqual([1, 1, 1, 2, 3]);
    expect(limitBytes([], 0)).toEqual([]);
  });
});
