// The key-value state machine: conditions, versions, retries, listing, and above all determinism.

import { isDwError } from '@datawarehouse/sdk';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { WriteCondition } from './command.js';
import type { Outcome } from './outcome.js';
import { commandKey, decodeCommand, encodeCommand } from './command.js';
import { KeyValueState } from './key-value-state.js';

interface Step {
  readonly op: 'put' | 'delete';
  readonly key: string;
  readonly value: string;
  readonly condition: WriteCondition;
}

const step: fc.Arbitrary<Step> = fc.record({
  op: fc.constantFrom('put' as const, 'put' as const, 'delete' as const),
  key: fc.integer({ min: 0, max: 20 }).map((n) => `key-${n}`),
  value: fc.string(),
  condition: fc.oneof(
    { weight: 3, arbitrary: fc.constant(undefined) },
    fc.constant('absent' as const),
    fc.integer({ min: 1, max: 40 }),
  ),
});

function bytesOf(step: Step): Buffer {
  const value = step.op === 'put' ? Buffer.from(step.value) : undefined;
  return encodeCommand(step.op, step.key, value, step.condition);
}

function apply(state: KeyValueState, index: number, data: Uint8Array): Outcome {
  return state.apply({ index, term: 1, proposer: 'n1', time: 0, data });
}

function put(state: KeyValueState, index: number, key: string, value: string, condition?: WriteCondition) {
  return apply(state, index, encodeCommand('put', key, Buffer.from(value), condition));
}

function bytes(state: KeyValueState): Buffer {
  return Buffer.concat([...state.snapshot()]);
}

describe('the key-value state machine', () => {
  it('gives each write the version of its log index', () => {
    const state = new KeyValueState();
    expect(put(state, 5, 'a', '1')).toEqual({ status: 'written', version: 5 });
    expect(put(state, 6, 'a', '2', 5)).toEqual({ status: 'written', version: 6 });
    expect(put(state, 7, 'a', '3', 5)).toEqual({ status: 'version-mismatch', currentVersion: 6 });
    expect(put(state, 8, 'a', '3', 'absent')).toEqual({ status: 'version-mismatch', currentVersion: 6 });
    expect(Buffer.from(state.get('a')!.value).toString()).toBe('2');
    const remove = encodeCommand('delete', 'a', undefined, 6);
    expect(apply(state, 9, remove)).toEqual({ status: 'deleted', version: 9, existed: true });
    expect(apply(state, 10, encodeCommand('delete', 'a', undefined, undefined))).toEqual({
      status: 'deleted',
      version: 10,
      existed: false,
    });
    expect(put(state, 11, 'a', '4', 5)).toEqual({ status: 'version-mismatch', currentVersion: undefined });
    expect(put(state, 12, 'a', '5', 'absent')).toEqual({ status: 'written', version: 12 });
  });

  it('keeps its own copy of a value, not a view of the entry', () => {
    const state = new KeyValueState();
    const data = encodeCommand('put', 'a', Buffer.from('keep'), undefined);
    apply(state, 1, data);
    data.fill(0);
    expect(Buffer.from(state.get('a')!.value).toString()).toBe('keep');
  });

  it('takes any entry that is no command as one that changes nothing', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (data) => {
        const state = new KeyValueState();
        const before = state.stateHash(1);
        const outcome = apply(state, 1, data);
        if (outcome.status !== 'written') expect(state.stateHash(1)).toBe(before);
      }),
    );
  });

  it('is deterministic: the same entries give the same outcomes, bytes and hash, with or without a restore between', () => {
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 120, size: 'max' }),
        fc.nat(120),
        fc.integer({ min: 1, max: 50 }),
        (steps, at, cut) => {
          const straight = new KeyValueState();
          let restored = new KeyValueState();
          steps.forEach((step, n) => {
            if (n === at) {
              const snapshot = bytes(restored);
              const fresh = new KeyValueState();
              fresh.restore(cutUp(snapshot, cut));
              expect(fresh.stateHash(n)).toBe(restored.stateHash(n));
              restored = fresh;
            }
            const data = bytesOf(step);
            expect(apply(restored, n + 1, data)).toEqual(apply(straight, n + 1, data));
          });
          expect(bytes(restored).equals(bytes(straight))).toBe(true);
          expect(restored.stateHash(steps.length)).toBe(straight.stateHash(steps.length));
          expect(restored.valueBytes).toBe(straight.valueBytes);
        },
      ),
      { numRuns: 150 },
    );
  });

  it('has a hash that tells states apart and returns when a change is undone', () => {
    const state = new KeyValueState();
    const empty = state.stateHash(1);
    put(state, 1, 'a', '1');
    const one = state.stateHash(1);
    expect(one).not.toBe(empty);
    expect(state.stateHash(2)).not.toBe(one);
    apply(state, 2, encodeCommand('delete', 'a', undefined, undefined));
    expect(state.stateHash(1)).toBe(empty);
    const other = new KeyValueState();
    put(other, 1, 'a', '2');
    expect(other.stateHash(1)).not.toBe(one);
  });

  it('writes a snapshot of the moment it was asked for, whatever is applied while it is read', () => {
    const state = new KeyValueState();
    for (let n = 1; n <= 3_000; n++) put(state, n, `k${n}`, 'x'.repeat(100));
    const expected = bytes(state);
    const chunks: Uint8Array[] = [];
    let index = 3_000;
    for (const chunk of state.snapshot()) {
      chunks.push(chunk);
      for (let n = 0; n < 200; n++) {
        index++;
        put(state, index, `k${(index * 7) % 4_000}`, 'changed');
        apply(state, index, encodeCommand('delete', `k${(index * 11) % 4_000}`, undefined, undefined));
      }
    }
    expect(Buffer.concat(chunks).equals(expected)).toBe(true);
  });

  it('refuses a damaged snapshot and stays as it was', () => {
    const source = new KeyValueState();
    put(source, 1, 'a', 'one');
    apply(source, 2, encodeCommand('put', 'b', Buffer.from('two'), undefined));
    const good = bytes(source);
    const target = new KeyValueState();
    put(target, 9, 'mine', '9');
    const before = target.stateHash(9);
    for (let at = 0; at < good.length; at++) {
      const bad = Buffer.from(good);
      bad[at] = (bad[at] as number) ^ 0x10;
      expect(refuses(target, [bad])).toBe(true);
      expect(refuses(target, [good.subarray(0, at)])).toBe(true);
    }
    expect(target.stateHash(9)).toBe(before);
    target.restore([good]);
    expect(target.stateHash(2)).toBe(source.stateHash(2));
  });

  it('lists by prefix in key order', () => {
    const state = new KeyValueState();
    ['b', 'a/2', 'a/1', 'a/10', 'c'].forEach((key, n) => put(state, n + 1, key, ''));
    expect(state.list('a/', undefined, 10)).toEqual([
      { key: 'a/1', version: 3 },
      { key: 'a/10', version: 4 },
      { key: 'a/2', version: 2 },
    ]);
    expect(state.list('a/', 'a/10', 10).map((item) => item.key)).toEqual(['a/2']);
    expect(state.list('', 'a/2', 1).map((item) => item.key)).toEqual(['b']);
  });
});

describe('commands', () => {
  it('are read back as they were written', () => {
    fc.assert(
      fc.property(step, (step) => {
        const data = bytesOf(step);
        const command = decodeCommand(data);
        expect(commandKey(data)).toBe(step.key);
        expect(command.op).toBe(step.op);
        expect(command.condition).toBe(step.condition);
        if (command.op === 'put') expect(Buffer.from(command.value).toString()).toBe(step.value);
      }),
    );
  });
});

function refuses(state: KeyValueState, chunks: Iterable<Uint8Array>): boolean {
  try {
    state.restore(chunks);
    return false;
  } catch (error) {
    return isDwError(error, 'snapshot-damaged');
  }
}

function* cutUp(bytes: Buffer, size: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
