// Plain idempotency keys: remembered up to a bound, the least recently used going first.

import { describe, expect, it } from 'vitest';
import type { Outcome } from '../outcome.js';
import { IdempotencyTable } from './idempotency-table.js';

const outcome: Outcome = { status: 'written', version: 1 };

function remember(table: IdempotencyTable, key: string, index: number, of: Outcome = outcome): void {
  if (table.admit(key, 'f', index) === undefined) {
    table.remember({ key, fingerprint: 'f', outcome: of, lastUsed: index });
  }
}

describe('the idempotency table', () => {
  it('repeats the first outcome, and refuses another request under the key', () => {
    const table = new IdempotencyTable();
    remember(table, 'a', 1);
    expect(table.admit('a', 'f', 2)).toEqual(outcome);
    expect(table.admit('a', 'other', 3)).toEqual({ status: 'idempotency-key-reused' });
  });

  it('forgets the least recently used at its bound and keeps its hash in step', () => {
    const table = new IdempotencyTable(3);
    for (let n = 1; n <= 10; n++) {
      remember(table, 'kept', n * 2);
      remember(table, `k${n}`, n * 2 + 1);
    }
    expect([...table.view().records()].map(({ key }) => key)).toEqual(['k9', 'kept', 'k10']);
    const same = new IdempotencyTable(3);
    for (const record of table.view().records()) same.remember(record);
    expect({ ...same.hash }).toEqual({ ...table.hash });
  });

  it('bounds the bytes of the results that it keeps', () => {
    const table = new IdempotencyTable(100, 50);
    for (let n = 1; n <= 5; n++) remember(table, `k${n}`, n, { status: 'result', data: new Uint8Array(20) });
    expect([...table.view().records()].map(({ key }) => key)).toEqual(['k4', 'k5']);
  });
});
