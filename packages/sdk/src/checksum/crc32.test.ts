import { describe, expect, it } from 'vitest';

import { crc32, crc32ByTable } from './crc32.js';

describe('crc32', () => {
  it('is the CRC-32 of the standard, built in or not', () => {
    const data = Buffer.from('123456789');
    expect(crc32(data)).toBe(0xcbf43926);
    expect(crc32ByTable(data)).toBe(0xcbf43926);
  });

  it('goes on from a seed', () => {
    const whole = Buffer.from(Array.from({ length: 1000 }, (_, index) => (index * 7) & 0xff));
    for (const sum of [crc32, crc32ByTable]) {
      expect(sum(whole.subarray(300), sum(whole.subarray(0, 300)))).toBe(crc32(whole));
    }
  });
});
