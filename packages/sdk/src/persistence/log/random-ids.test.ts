import { expect, it } from 'vitest';
import { randomSalt } from './random-ids.js';

it('given bytes that are all zero, when a salt is wanted, then others are asked for: zero is no salt', () => {
  const given = [Buffer.alloc(4), Buffer.from([1, 2, 0, 0])];
  expect(randomSalt((count) => given.shift() ?? Buffer.alloc(count, 7))).toBe(0x201);
  expect(given).toEqual([]);
});
