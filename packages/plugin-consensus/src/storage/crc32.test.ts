import { expect, it } from 'vitest';
import { crc32, crc32ByTable } from './crc32.js';

it('is the CRC of zlib, with and without a seed, built in or by table', () => {
  const bytes = Buffer.from('123456789');
  expect(crc32(bytes)).toBe(0xcbf43926);
  expect(crc32ByTable(bytes)).toBe(0xcbf43926);
  for (const seed of [0, 1, 77, 0xffffffff]) expect(crc32ByTable(bytes, seed)).toBe(crc32(bytes, seed));
});
