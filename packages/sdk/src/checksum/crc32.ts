// CRC-32 (the one of zlib). Node has it built in since 20.15; before that a table does the same, some ten times slower.

import * as zlib from 'node:zlib';

let table: Uint32Array | undefined;

/** The table of the reflected polynomial 0xEDB88320. */
function makeTable(): Uint32Array {
  return Uint32Array.from({ length: 256 }, (_, index) => {
    let value = index;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
    return value >>> 0;
  });
}

/** CRC-32 in plain JavaScript; what {@link crc32} is where zlib does not have it. */
export function crc32ByTable(data: Uint8Array, seed = 0): number {
  table ??= makeTable();
  let crc = ~seed;
  for (const byte of data) crc = (table[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** CRC-32 of `data`, going on from `seed`, the CRC of what came before it. An unsigned 32-bit number. */
export const crc32: (data: Uint8Array, seed?: number) => number =
  typeof zlib.crc32 === 'function' ? zlib.crc32 : crc32ByTable;
