// The table of sessions: what it remembers, what it refuses, and which session it forgets.

import { describe, expect, it } from 'vitest';
import type { Outcome } from '../outcome.js';
import type { SessionBounds } from './session-table.js';
import { SessionTable } from './session-table.js';

const SMALL: SessionBounds = {
  sessions: 3,
  outcomesPerSession: 4,
  outcomes: 8,
  resultBytesPerSession: 100,
  resultBytes: 250,
};

function written(version: number): Outcome {
  return { status: 'written', version };
}

/** Gives the table a command, and applies it if the table lets it through. */
function send(
  table: SessionTable,
  index: number,
  [session, sequence, lowestWanted]: readonly [number, number, number],
  outcome = written(index),
  fingerprint = 7,
): Outcome | 'applied' {
  const command = { session, sequence, lowestWanted };
  const known = table.admit(command, fingerprint, index);
  if (known !== undefined) return known;
  table.remember(command, fingerprint, outcome);
  return 'applied';
}

describe('the session table', () => {
  it('lets a command through once, and repeats its outcome', () => {
    const table = new SessionTable();
    table.open(1);
    expect(send(table, 2, [1, 1, 0])).toBe('applied');
    expect(send(table, 3, [1, 1, 0])).toEqual(written(2));
    expect(send(table, 4, [1, 1, 1])).toEqual(written(2));
  });

  it('allows gaps and any order', () => {
    const table = new SessionTable();
    table.open(1);
    for (const sequence of [9, 4, 2 ** 52, 5]) expect(send(table, 10, [1, sequence, 0])).toBe('applied');
    expect(table.outcomes).toBe(4);
    expect(send(table, 11, [1, 6, 6])).toBe('applied');
    expect(table.outcomes).toBe(3);
  });

  it('never lets through what was acknowledged, whatever a late copy says of it', () => {
    const table = new SessionTable();
    table.open(1);
    send(table, 2, [1, 1, 0]);
    send(table, 3, [1, 5, 5]);
    expect(send(table, 4, [1, 1, 0])).toEqual({ status: 'sequence-acknowledged' });
    // Sequence 3 was never used, but is below what is wanted.
    expect(send(table, 5, [1, 3, 0])).toEqual({ status: 'sequence-acknowledged' });
    expect(send(table, 6, [1, 6, 7])).toEqual({ status: 'sequence-acknowledged' });
  });

  it('refuses another command under a sequence that was used', () => {
    const table = new SessionTable();
    table.open(1);
    send(table, 2, [1, 1, 0]);
    expect(send(table, 3, [1, 1, 0], written(3), 8)).toEqual({ status: 'sequence-reused' });
  });

  it('refuses a session that was never opened, was closed, or was forgotten, and is changed by none of it', () => {
    const table = new SessionTable(SMALL);
    for (const index of [1, 2, 3]) table.open(index);
    send(table, 4, [1, 1, 0]);
    table.open(5);
    expect(table.has(2)).toBe(false);
    expect(table.close(3)).toBe(true);
    const before = { ...table.hash };
    for (const session of [2, 3, 99])
      expect(send(table, 6, [session, 1, 0])).toEqual({ status: 'session-expired' });
    expect(table.close(99)).toBe(false);
    expect({ ...table.hash }).toEqual(before);
    expect(table.has(1)).toBe(true);
  });

  it('counts as use what was applied, not what was looked at', () => {
    const table = new SessionTable(SMALL);
    for (const index of [1, 2, 3]) table.open(index);
    // A retry is an entry as well: all replicas see it.
    send(table, 4, [1, 1, 0]);
    send(table, 5, [2, 1, 0]);
    send(table, 6, [1, 1, 0]);
    for (let n = 0; n < 5; n++) table.has(3);
    table.open(7);
    expect([1, 2, 3, 7].map((id) => table.has(id))).toEqual([true, true, false, true]);
    table.open(8);
    expect([1, 2, 7, 8].map((id) => table.has(id))).toEqual([true, false, true, true]);
  });

  it('refuses a command rather than drop an outcome that may be asked for', () => {
    const table = new SessionTable(SMALL);
    table.open(1);
    for (let sequence = 1; sequence <= 4; sequence++) send(table, 10 + sequence, [1, sequence, 0]);
    expect(send(table, 20, [1, 5, 0])).toEqual({ status: 'session-full' });
    for (let sequence = 1; sequence <= 4; sequence++) {
      expect(send(table, 30, [1, sequence, 0])).toEqual(written(10 + sequence));
    }
    expect(send(table, 40, [1, 5, 2])).toBe('applied');
  });

  it('bounds the bytes of results, of a session by refusing and of all by forgetting the least recently used', () => {
    const table = new SessionTable(SMALL);
    const result = (bytes: number): Outcome => ({ status: 'result', data: new Uint8Array(bytes) });
    for (const index of [1, 2, 3]) table.open(index);
    expect(send(table, 4, [1, 1, 0], result(99))).toBe('applied');
    expect(send(table, 5, [1, 2, 0], result(40))).toBe('applied');
    expect(send(table, 6, [1, 3, 0], result(1))).toEqual({ status: 'session-full' });
    expect(send(table, 7, [2, 1, 0], result(100))).toBe('applied');
    expect(table.size).toBe(3);
    expect(send(table, 8, [3, 1, 0], result(50))).toBe('applied');
    expect(table.has(1)).toBe(false);
    expect(send(table, 9, [2, 1, 0])).toEqual(result(100));
  });

  it('forgets the least recently used sessions when all together keep too many outcomes', () => {
    const table = new SessionTable(SMALL);
    for (const index of [1, 2, 3]) table.open(index);
    let index = 10;
    for (const session of [2, 1, 3]) {
      for (let sequence = 1; sequence <= 3; sequence++) send(table, index++, [session, sequence, 0]);
    }
    expect(table.has(2)).toBe(false);
    expect(table.outcomes).toBe(6);
  });

  it('shows in a view what was there when it was taken, whatever happens while it is read', () => {
    const table = new SessionTable(SMALL);
    for (const index of [1, 2, 3]) table.open(index);
    send(table, 4, [2, 1, 0]);
    send(table, 5, [3, 1, 0]);
    const expected = JSON.stringify([...table.view().records()]);
    const view = table.view();
    const seen = [];
    let index = 5;
    for (const record of view.records()) {
      seen.push(record);
      send(table, ++index, [3, index, index]);
      send(table, ++index, [2, index, 0]);
      table.open(++index);
      table.close(index - 3);
    }
    expect(JSON.stringify(seen)).toBe(expected);
    expect(view.size).toBe(3);
    const first = table.view().records()[Symbol.iterator]();
    table.view();
    // Nothing is kept for the first one any more, and it says so.
    expect(() => first.next()).toThrow('another view');
  });

  it('has the hash of what it holds, however it came to hold it', () => {
    const table = new SessionTable(SMALL);
    for (const index of [1, 2, 3]) table.open(index);
    send(table, 4, [2, 1, 0]);
    send(table, 5, [2, 2, 2]);
    const same = new SessionTable(SMALL);
    for (const record of table.view().records()) expect(same.restore(record)).toBe(true);
    expect({ ...same.hash }).toEqual({ ...table.hash });
    for (const id of [1, 2, 3]) table.close(id);
    expect({ ...table.hash }).toEqual({ a: 0, b: 0 });
    // A session that does not come after the others is no session of a snapshot.
    expect(same.restore({ id: 1, lastUsed: 9, lowestWanted: 0, commands: [] })).toBe(false);
    expect(same.restore({ id: 4, lastUsed: 4, lowestWanted: 0, commands: [] })).toBe(false);
  });
});
