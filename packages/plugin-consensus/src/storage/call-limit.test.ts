import { settle } from '@datawarehouse/sdk/testing';
import { expect, it } from 'vitest';
import { CallLimit } from './call-limit.js';

interface Call {
  readonly end: (error?: Error) => void;
  readonly result: Promise<unknown>;
}

/** Calls that end when they are told to; `begun` has the numbers of those that were let through, in order. */
function calls(limit: CallLimit, count: number): { readonly begun: number[]; readonly all: Call[] } {
  const begun: number[] = [];
  const all = Array.from({ length: count }, (_, n): Call => {
    let end: Call['end'] = () => undefined;
    const ended = new Promise<void>((resolve, reject) => {
      end = (error) => (error === undefined ? resolve() : reject(error));
    });
    const result = limit.run(() => {
      begun.push(n);
      return ended;
    });
    return { end, result };
  });
  return { begun, all };
}

it('has only so many calls under way, and lets the others through in the order in which they came', async () => {
  const limit = new CallLimit(2);
  const { begun, all } = calls(limit, 5);
  await settle();
  expect(begun).toEqual([0, 1]);
  all[1]?.end();
  await settle();
  expect(begun).toEqual([0, 1, 2]);
  // A place that was handed on is not free for one that comes now.
  const later = calls(limit, 1);
  await settle();
  expect(later.begun).toEqual([]);
  for (const { end } of later.all) end();
  for (const { end } of all) end();
  await Promise.all(all.map(({ result }) => result));
  expect(begun).toEqual([0, 1, 2, 3, 4]);
});

it('gives the place of a call that fails to the next', async () => {
  const limit = new CallLimit(1);
  const { begun, all } = calls(limit, 2);
  all[0]?.end(new Error('refused'));
  await expect(all[0]?.result).rejects.toThrow('refused');
  await settle();
  expect(begun).toEqual([0, 1]);
  all[1]?.end();
  await all[1]?.result;
  await limit.run(async () => begun.push(9));
  expect(begun).toEqual([0, 1, 9]);
});
