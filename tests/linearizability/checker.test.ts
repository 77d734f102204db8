// The checker itself is checked: on small histories known to be good or bad, and against brute force on random ones.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkKey, checkLinearizable } from './checker.js';
import type { HistoryEntry } from './checker.js';
import { ABSENT, step } from './model.js';
import type { KeyState, Operation, Outcome } from './model.js';

function op(calledAt: number, returnedAt: number, operation: Operation, outcome: Outcome): HistoryEntry {
  return { client: 0, key: 'k', operation, outcome, calledAt, returnedAt };
}

const put = (value: string): Operation => ({ kind: 'put', value });
const get: Operation = { kind: 'get' };
const wrote = (version: number): Outcome => ({ kind: 'written', version });
const read = (value?: string, version?: number): Outcome => ({ kind: 'read', value, version });
const unknown: Outcome = { kind: 'unknown' };

describe('histories known to be good', () => {
  it.each<[string, HistoryEntry[]]>([
    ['nothing at all', []],
    ['a read of nothing', [op(0, 1, get, read())]],
    ['a write, then its read', [op(0, 1, put('a'), wrote(1)), op(2, 3, get, read('a', 1))]],
    [
      'a read beside a write sees the old value or the new one',
      [op(0, 9, put('a'), wrote(1)), op(1, 2, get, read()), op(3, 4, get, read('a', 1))],
    ],
    [
      'two writes at once in either order',
      [op(0, 9, put('a'), wrote(2)), op(0, 9, put('b'), wrote(1)), op(10, 11, get, read('a', 2))],
    ],
    [
      'a write of unknown outcome that took effect long after it was given up',
      [op(0, 1, put('a'), unknown), op(2, 3, get, read()), op(4, 5, get, read('a', 7))],
    ],
    ['a write of unknown outcome that never happened', [op(0, 1, put('a'), unknown), op(2, 3, get, read())]],
    [
      'a compare-and-swap that won and one that lost',
      [
        op(0, 1, put('a'), wrote(1)),
        op(2, 5, { kind: 'cas', expected: 1, value: 'b' }, wrote(2)),
        op(2, 6, { kind: 'cas', expected: 1, value: 'c' }, { kind: 'mismatch' }),
        op(7, 8, get, read('b', 2)),
      ],
    ],
    [
      'a delete, then a write if absent',
      [
        op(0, 1, put('a'), wrote(1)),
        op(2, 3, { kind: 'delete' }, wrote(2)),
        op(4, 5, { kind: 'cas', expected: 'absent', value: 'b' }, wrote(3)),
        op(6, 7, get, read('b', 3)),
      ],
    ],
  ])('%s', (_name, history) => {
    expect(checkKey(history).linearizable).toBe(true);
  });
});

describe('histories known to be bad', () => {
  it.each<[string, HistoryEntry[]]>([
    ['a read of what nobody wrote', [op(0, 1, get, read('ghost', 1))]],
    ['a lost write', [op(0, 1, put('a'), wrote(1)), op(2, 3, get, read())]],
    [
      'a stale read',
      [op(0, 1, put('a'), wrote(1)), op(2, 3, put('b'), wrote(2)), op(4, 5, get, read('a', 1))],
    ],
    [
      'a new value read before an old one',
      [
        op(0, 1, put('a'), wrote(1)),
        op(2, 9, put('b'), wrote(2)),
        op(3, 4, get, read('b', 2)),
        op(5, 6, get, read('a', 1)),
      ],
    ],
    [
      'two compare-and-swaps that won over one version',
      [
        op(0, 1, put('a'), wrote(1)),
        op(2, 5, { kind: 'cas', expected: 1, value: 'b' }, wrote(2)),
        op(2, 5, { kind: 'cas', expected: 1, value: 'c' }, wrote(3)),
      ],
    ],
    [
      'a compare-and-swap that lost over the version that stood',
      [
        op(0, 1, put('a'), wrote(1)),
        op(2, 3, { kind: 'cas', expected: 1, value: 'b' }, { kind: 'mismatch' }),
      ],
    ],
    ['versions that fall', [op(0, 1, put('a'), wrote(5)), op(2, 3, put('b'), wrote(4))]],
    [
      'a write of unknown outcome that was seen and then unseen',
      [op(0, 1, put('a'), unknown), op(2, 3, get, read('a', 4)), op(4, 5, get, read())],
    ],
  ])('%s', (_name, history) => {
    expect(checkKey(history).linearizable).toBe(false);
  });
});

it('names the key and the operation that cannot be placed', () => {
  const good = op(0, 1, put('a'), wrote(1));
  const bad = { ...op(0, 1, get, read('ghost', 1)), key: 'other' };
  const verdict = checkLinearizable([good, bad]);
  expect(verdict).toMatchObject({ linearizable: false, key: 'other', stuckAt: bad });
});

it('is not led astray by many writes of which nobody knows or saw anything', () => {
  // Each of them might stand before what cannot be explained, or not: 2^40 ways, which are all the same.
  const lost = Array.from({ length: 40 }, (_, n) => op(n, n + 1, put(`lost ${n}`), unknown));
  const history = [...lost, op(50, 51, put('a'), wrote(1)), op(52, 53, get, read('ghost', 2))];
  expect(checkKey(history).linearizable).toBe(false);
});

/** Tries every order. Only for a handful of operations. */
function bruteForce(history: readonly HistoryEntry[], state: KeyState = ABSENT): boolean {
  const answered = history.filter(({ outcome }) => outcome.kind !== 'unknown');
  if (answered.length === 0) return true;
  const firstReturn = Math.min(...answered.map(({ returnedAt }) => returnedAt));
  return history.some((entry, at) => {
    if (entry.calledAt > firstReturn) return false;
    const after = step(state, entry.operation, entry.outcome);
    return after !== undefined && bruteForce(history.toSpliced(at, 1), after);
  });
}

it('agrees with trying every order, on random histories', () => {
  const values = ['a', 'b'];
  const versions = fc.integer({ min: 1, max: 3 });
  const operation: fc.Arbitrary<[Operation, Outcome]> = fc.oneof(
    fc.tuple(fc.constantFrom(...values).map(put), fc.oneof(versions.map(wrote), fc.constant(unknown))),
    fc.tuple(
      fc.constant(get),
      fc.oneof(
        fc.constant(read()),
        fc.tuple(fc.constantFrom(...values), versions).map(([value, version]) => read(value, version)),
      ),
    ),
    fc.tuple(
      fc.record({
        kind: fc.constant('cas' as const),
        expected: fc.oneof(versions, fc.constant('absent' as const)),
        value: fc.constantFrom(...values),
      }),
      fc.oneof(versions.map(wrote), fc.constant<Outcome>({ kind: 'mismatch' }), fc.constant(unknown)),
    ),
    fc.tuple(fc.constant<Operation>({ kind: 'delete' }), fc.oneof(versions.map(wrote), fc.constant(unknown))),
  );
  const entry = fc
    .tuple(fc.integer({ min: 0, max: 20 }), fc.integer({ min: 1, max: 8 }), operation)
    .map(([start, length, [operation, outcome]]) => op(start, start + length, operation, outcome));
  const seen = { good: 0, bad: 0 };
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 6 }), (history) => {
      const expected = bruteForce(history);
      seen[expected ? 'good' : 'bad'] += 1;
      expect(checkKey(history).linearizable).toBe(expected);
    }),
    { numRuns: 3_000, seed: 7 },
  );
  expect(Math.min(seen.good, seen.bad)).toBeGreaterThan(100);
});
