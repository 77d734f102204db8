// A plugin's state machine inside a group: what it answers reaches the proposer, and what would make replicas differ in
// silence is refused.

import type { AppliedEntry, IStateMachine } from '@datawarehouse/sdk';
import { describe, expect, it } from 'vitest';
import { PluginState } from './plugin-state.js';

/** Adds numbers up; its state is the sum. */
class Adder implements IStateMachine {
  total = 0;

  apply({ data }: AppliedEntry): Uint8Array {
    this.total += Number(Buffer.from(data).toString());
    return Buffer.from(`total ${this.total}`);
  }

  snapshot(): Iterable<Uint8Array> {
    return [Buffer.from(String(this.total))];
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    let text = '';
    for await (const chunk of chunks) text += Buffer.from(chunk).toString();
    if (!/^-?\d+$/.test(text)) throw new Error('the snapshot is no number');
    this.total = Number(text);
  }
}

function entry(index: number, data: string): AppliedEntry {
  return { index, term: 1, proposer: 'n1', time: 0, data: Buffer.from(data) };
}

async function restore(state: PluginState, bytes: Uint8Array, cut: number): Promise<void> {
  const restorer = state.beginRestore(20);
  for (let at = 0; at < bytes.length; at += cut) await restorer.push(bytes.subarray(at, at + cut));
  await restorer.finish();
}

function misbehaving(apply: () => unknown): PluginState {
  const machine = { apply, snapshot: () => [], restore: async () => undefined } as unknown as IStateMachine;
  return new PluginState('bad', machine);
}

describe('a plugin state', () => {
  it('gives the answer of the machine', () => {
    const state = new PluginState('adder', new Adder());
    state.apply(entry(1, '4'));
    expect(state.apply(entry(2, '3'))).toEqual({
      status: 'result',
      data: new Uint8Array(Buffer.from('total 7')),
    });
  });

  it('is equal after a snapshot and a restore, wherever the chunks are cut', async () => {
    const source = new PluginState('adder', new Adder());
    for (let n = 1; n <= 20; n++) source.apply(entry(n, String(n * n)));
    const bytes = Buffer.concat([...source.snapshot()]);
    for (const cut of [1, 3, 7, 8, 9, 1_000]) {
      const target = new PluginState('adder', new Adder());
      target.apply(entry(1, '99'));
      await restore(target, bytes, cut);
      expect(target.stateHash(20)).toBe(source.stateHash(20));
      expect(Buffer.concat([...target.snapshot()]).equals(bytes)).toBe(true);
    }
  });

  it('takes the snapshot when it is asked for, not when it is pulled', () => {
    const state = new PluginState('adder', new Adder());
    state.apply(entry(1, '5'));
    const chunks = state.snapshot();
    state.apply(entry(2, '5'));
    expect(
      Buffer.concat([...chunks])
        .subarray(8)
        .toString(),
    ).toBe('5');
  });

  it('tells machines apart that answered differently, without a hash of their own', () => {
    const one = new PluginState('adder', new Adder());
    const other = new PluginState('adder', new Adder());
    one.apply(entry(1, '5'));
    other.apply(entry(1, '6'));
    expect(one.stateHash(1)).not.toBe(other.stateHash(1));
  });

  it('refuses a promise and what is no bytes', () => {
    expect(() => misbehaving(() => Promise.resolve()).apply(entry(1, ''))).toThrow(
      expect.objectContaining({ code: 'state-machine-misbehaved' }),
    );
    expect(() => misbehaving(() => 'text').apply(entry(1, ''))).toThrow(/a string/);
    expect(() => misbehaving(() => new Uint8Array(2 ** 20 + 1)).apply(entry(1, ''))).toThrow(/1048577 bytes/);
  });

  it('asks the machine, and says why it has no answer', () => {
    const query = (machine: Partial<IStateMachine>): PluginState =>
      new PluginState('asked', {
        apply: () => undefined,
        snapshot: () => [],
        restore: async () => undefined,
        ...machine,
      });
    expect(query({ query: (request) => request }).query(Buffer.from('a'))).toEqual(Buffer.from('a'));
    expect(() => query({}).query(Buffer.from('a'))).toThrow(
      expect.objectContaining({ code: 'query-unsupported' }),
    );
    const failing = query({
      query: () => {
        throw new Error('no such thing');
      },
    });
    expect(() => failing.query(Buffer.from('a'))).toThrow(expect.objectContaining({ code: 'query-failed' }));
    const late = query({ query: (() => Promise.resolve()) as never });
    expect(() => late.query(Buffer.from('a'))).toThrow(/a promise/);
    expect(() => new PluginState('half', { ...late.machine, openAsync: async () => 0 } as never)).toThrow(
      /not the other/,
    );
  });

  it('hands the failure of a restore to whoever gives it chunks', async () => {
    const state = new PluginState('adder', new Adder());
    await expect(restore(state, Buffer.from('12345678not a number'), 6)).rejects.toThrow(
      'the snapshot is no number',
    );
    const lazy = new PluginState('lazy', {
      apply: () => undefined,
      snapshot: () => [],
      restore: async () => undefined,
      stateHash: () => {
        throw new Error('no hash');
      },
    });
    await expect(restore(lazy, Buffer.from('12345678 nobody pulls this'), 9)).rejects.toThrow('all chunks');
    expect(() => lazy.stateHash(1)).toThrow(expect.objectContaining({ code: 'state-machine-misbehaved' }));
    // Shorter than its own header.
    await expect(restore(state, Buffer.from('12'), 1)).rejects.toThrow(
      expect.objectContaining({ code: 'frame-malformed' }),
    );
  });
});
