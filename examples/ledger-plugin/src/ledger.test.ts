// The ledger as a state machine: the SDK's contract suite, and what a ledger has to do.

import { stateMachineContract } from '@datawarehouse/sdk/testing';
import { describe, expect, it } from 'vitest';
import { Ledger, decodeAnswer, encodeCommand } from './ledger.js';
import type { LedgerCommand } from './ledger.js';

stateMachineContract({ describe, it, expect }, async () => ({
  create: () => new Ledger(),
  command: (n) =>
    encodeCommand(
      n % 3 === 0
        ? { op: 'deposit', account: `account ${n % 7}`, amount: n + 1 }
        : { op: 'transfer', from: `account ${n % 7}`, to: `account ${n % 5} ö`, amount: n },
    ),
}));

describe('the ledger', () => {
  it('neither makes nor loses money', () => {
    const ledger = new Ledger();
    let index = 0;
    const run = (command: LedgerCommand) =>
      decodeAnswer(
        ledger.apply({ index: ++index, term: 1, proposer: 'n1', time: 0, data: encodeCommand(command) }),
      );
    expect(run({ op: 'deposit', account: 'a', amount: 100 })).toEqual({ ok: true, balance: 100 });
    expect(run({ op: 'transfer', from: 'a', to: 'b', amount: 30 })).toEqual({ ok: true, balance: 70 });
    expect(run({ op: 'transfer', from: 'a', to: 'b', amount: 71 })).toEqual({
      ok: false,
      reason: 'insufficient',
    });
    expect(run({ op: 'transfer', from: 'a', to: 'a', amount: 70 })).toEqual({ ok: true, balance: 70 });
    expect(run({ op: 'deposit', account: 'b', amount: Number.MAX_SAFE_INTEGER })).toEqual({
      ok: false,
      reason: 'overflow',
    });
    expect(run({ op: 'deposit', account: '', amount: 1 })).toEqual({ ok: false, reason: 'malformed' });
    expect([ledger.balance('a'), ledger.balance('b'), ledger.balance('c')]).toEqual([70, 30, undefined]);
  });
});
