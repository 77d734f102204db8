// Given the newest entries of a log in memory, when it is cut at either end, then it is what a list would be.

import { expect, it } from 'vitest';
import { entryOverheadBytes } from '../raft/entry-size.js';
import type { Entry } from '../raft/types.js';
import { EntryTail } from './entry-tail.js';

function filled(first: number, last: number): EntryTail {
  const tail = new EntryTail(first);
  for (let index = first; index <= last; index++) tail.push(entry(index));
  return tail;
}

function entry(index: number): Entry {
  return { index, term: 1, type: 'normal', data: Buffer.alloc(10) };
}

it('holds what was pushed, and counts its bytes', () => {
  const tail = filled(5, 9);
  expect([tail.first, tail.last, tail.bytes]).toEqual([5, 9, 5 * (10 + entryOverheadBytes)]);
  expect([tail.get(4), tail.get(10)]).toEqual([undefined, undefined]);
  expect(tail.get(7)?.index).toBe(7);
});

it('drops its end, and starts anew when that is before its first', () => {
  const tail = filled(5, 9);
  tail.truncateFrom(8);
  expect([tail.first, tail.last]).toEqual([5, 7]);
  tail.truncateFrom(3);
  expect([tail.first, tail.last, tail.bytes]).toEqual([3, 2, 0]);
  tail.push(entry(3));
  expect(tail.get(3)?.index).toBe(3);
});

it('drops its front only as far as it is written and only above the bytes it may keep', () => {
  const size = 10 + entryOverheadBytes;
  const tail = filled(1, 3_000);
  tail.shrink(2_500, 0);
  expect([tail.first, tail.last]).toEqual([2_501, 3_000]);
  tail.shrink(3_000, 100 * size);
  expect([tail.first, tail.bytes]).toEqual([2_901, 100 * size]);
  expect(tail.get(2_901)?.index).toBe(2_901);
  tail.shrink(3_000, 0);
  expect([tail.first, tail.last, tail.bytes]).toEqual([3_001, 3_000, 0]);
});
