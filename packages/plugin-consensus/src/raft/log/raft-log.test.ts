import fc from 'fast-check';
import { isDwError } from '@datawarehouse/sdk';
import { describe, expect, it } from 'vitest';
import { entryOverheadBytes } from '../entry-size.js';
import { confOf, MemoryStorage } from '../testing/memory-storage.test.kit.js';
import type { Entry } from '../types.js';
import { RaftLog } from './raft-log.js';

function run(from: number, terms: readonly number[], size = 0): readonly Entry[] {
  return terms.map((term, i) => ({ index: from + i, term, type: 'normal', data: new Uint8Array(size) }));
}

/** A log with `stable` in storage (terms from index 1) and `unstable` on top. */
function logOf(
  stable: readonly number[],
  unstable: readonly number[] = [],
  maxApplying = 1 << 20,
  applyUnstable = false,
): RaftLog {
  const storage = new MemoryStorage(confOf(['a']));
  storage.write({ hardState: undefined, snapshot: undefined, entries: run(1, stable) });
  const log = new RaftLog(storage, maxApplying, applyUnstable);
  log.append(run(stable.length + 1, unstable));
  return log;
}

function codeOf(work: () => unknown): string | undefined {
  try {
    work();
  } catch (error) {
    return isDwError(error) ? error.code : 'another error';
  }
  return undefined;
}

function termsOf(log: RaftLog): readonly (number | undefined)[] {
  return Array.from({ length: log.lastIndex() }, (_, i) => log.term(i + 1));
}

describe('RaftLog', () => {
  it('sees storage and what is unstable as one log', () => {
    const log = logOf([1, 1], [2, 2]);
    expect(termsOf(log)).toEqual([1, 1, 2, 2]);
    expect([log.firstIndex(), log.lastIndex(), log.lastTerm(), log.term(0), log.term(5)]).toEqual([
      1,
      4,
      2,
      0,
      undefined,
    ]);
    expect(log.slice(1, 5, Infinity)?.map((entry) => entry.index)).toEqual([1, 2, 3, 4]);
  });

  it('does not look at storage beyond what is unstable: that tail was replaced', () => {
    const log = logOf([1, 1, 1, 1]);
    log.append(run(2, [2]));
    expect([log.lastIndex(), log.term(3)]).toEqual([2, undefined]);
    expect(log.slice(1, 3, Infinity)?.map((entry) => entry.term)).toEqual([1, 2]);
  });

  it('limits a slice by bytes, across both parts, but returns one entry at least', () => {
    const log = logOf([1, 1], [1, 1]);
    const sizes = [1, entryOverheadBytes, 2 * entryOverheadBytes, 3 * entryOverheadBytes, Infinity];
    expect(sizes.map((bytes) => log.slice(1, 5, bytes)?.length)).toEqual([1, 1, 2, 3, 4]);
    expect(log.slice(3, 5, 1)?.length).toBe(1);
  });

  it('keeps an equal tail when an older append comes again', () => {
    const log = logOf([1, 1], [2, 2, 2]);
    expect(log.maybeAppend(2, 1, run(3, [2]), 0)).toBe(3);
    expect(termsOf(log)).toEqual([1, 1, 2, 2, 2]);
  });

  it('replaces the tail from the first conflict on', () => {
    const log = logOf([1, 1], [2, 2, 2]);
    expect(log.maybeAppend(2, 1, run(3, [2, 3]), 0)).toBe(4);
    expect(termsOf(log)).toEqual([1, 1, 2, 3]);
  });

  it('refuses what does not follow on', () => {
    const log = logOf([1, 1]);
    expect(log.maybeAppend(2, 2, run(3, [2]), 0)).toBeUndefined();
    expect(log.maybeAppend(3, 1, run(4, [2]), 0)).toBeUndefined();
    expect(termsOf(log)).toEqual([1, 1]);
  });

  it('commits no further than the entries that came', () => {
    const log = logOf([1, 1, 1, 1]);
    log.maybeAppend(1, 1, run(2, [1]), 4);
    expect(log.committed).toBe(2);
  });

  it('never replaces a committed entry', () => {
    const log = logOf([1, 1, 1]);
    log.commitTo(2);
    expect(codeOf(() => log.append(run(2, [5])))).toBe('raft-invariant');
    expect(codeOf(() => log.maybeAppend(0, 0, run(1, [9]), 0))).toBe('raft-invariant');
    expect(termsOf(log)).toEqual([1, 1, 1]);
  });

  it('never leaves a gap', () => {
    expect(codeOf(() => logOf([1]).append(run(3, [1])))).toBe('raft-invariant');
  });

  it('never commits what it does not have', () => {
    expect(codeOf(() => logOf([1]).commitTo(2))).toBe('raft-invariant');
  });

  it('commits by counting only entries of the term that counts', () => {
    const log = logOf([1, 1, 2]);
    expect([log.maybeCommit(2, 2), log.committed]).toEqual([false, 0]);
    expect([log.maybeCommit(3, 2), log.committed]).toEqual([true, 3]);
    expect(log.maybeCommit(2, 1)).toBe(false);
  });

  it('finds the last index with a term at or below another, like a linear search', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(3), { maxLength: 40 }),
        fc.nat(10),
        fc.nat(45),
        fc.nat(12),
        (steps, compact, index, term) => {
          let current = 1;
          const terms = steps.map((step) => (current += step === 3 ? 1 : 0));
          const storage = new MemoryStorage(confOf(['a']));
          storage.write({ hardState: undefined, snapshot: undefined, entries: run(1, terms) });
          storage.compact(Math.min(compact, terms.length), new Uint8Array(0));
          const log = new RaftLog(storage, 1, false);
          let at = index;
          while (at > 0) {
            const ours = log.term(at);
            if (ours === undefined || ours <= term) break;
            at--;
          }
          expect(log.findConflictByTerm(index, term)).toEqual({ index: at, term: log.term(at) ?? 0 });
        },
      ),
    );
  });

  it('hands committed entries out only once they are on its own disk', () => {
    const log = logOf([1, 1], [1, 1]);
    log.commitTo(4);
    expect(log.nextCommitted().map((entry) => entry.index)).toEqual([1, 2]);
    log.acceptApplying(log.nextCommitted());
    expect(log.hasNextCommitted).toBe(false);
    log.unstable.stableTo(3, 1);
    expect(log.hasNextCommitted).toBe(true);
  });

  it('hands them out at once for a driver that writes and applies in order', () => {
    const log = logOf([1], [1, 1], 1 << 20, true);
    log.commitTo(3);
    expect(log.nextCommitted().map((entry) => entry.index)).toEqual([1, 2, 3]);
  });

  it('pages committed entries by size, and stops until some are applied', () => {
    const log = logOf([1, 1, 1], [], 2 * entryOverheadBytes);
    log.commitTo(3);
    const page = log.nextCommitted();
    expect(page.map((entry) => entry.index)).toEqual([1, 2]);
    log.acceptApplying(page);
    expect([log.hasNextCommitted, log.nextCommitted()]).toEqual([false, []]);
    log.appliedTo(2, 2 * entryOverheadBytes);
    expect(log.nextCommitted().map((entry) => entry.index)).toEqual([3]);
  });

  it('never applies what is not committed, nor goes back', () => {
    const log = logOf([1, 1]);
    expect(codeOf(() => log.appliedTo(1, 0))).toBe('raft-invariant');
    log.commitTo(2);
    log.appliedTo(2, 0);
    expect(codeOf(() => log.appliedTo(1, 0))).toBe('raft-invariant');
    expect(codeOf(() => log.acceptApplying(run(3, [1])))).toBe('raft-invariant');
  });
});
