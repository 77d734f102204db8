// What every IStateMachine has to do so that replicas stay equal, as a suite that runs against any of them.

import type { AppliedEntry, IStateMachine } from '../consensus/index.js';
import type { ContractHooks } from './contract-hooks.js';

/** One state machine under test. */
export interface StateMachineFixture {
  /** Makes an empty machine. Called several times: all of them must behave alike. */
  readonly create: () => IStateMachine;
  /**
   * The `n`th command of a sequence that changes much of the state: some that succeed, some that are refused, some that
   * replace what others wrote. At least 100 of them (`n` from 0) should differ.
   */
  readonly command: (n: number) => Uint8Array;
  /** Removes all traces. Called once, whatever happened. */
  readonly dispose?: () => Promise<void>;
}

const COMMANDS = 120;
/** Sizes of the pieces into which a snapshot is cut; a machine must not care. */
const CUTS: readonly number[] = [1, 2, 3, 7, 16, 61, 4_096];
/** A machine's own copy of an entry must outlive the entry: its bytes are written over with this. */
const SCRUB = 0xa5;

/**
 * Defines the contract suite of state machines.
 * @param hooks the test framework's functions
 * @param create makes the fixture for one test
 */
export function stateMachineContract(hooks: ContractHooks, create: () => Promise<StateMachineFixture>): void {
  const { describe, expect } = hooks;
  const it = (name: string, body: (fixture: StateMachineFixture) => Promise<void>): void => {
    hooks.it(name, async () => {
      const fixture = await create();
      try {
        await body(fixture);
      } finally {
        await fixture.dispose?.();
      }
    });
  };

  describe('state machine contract', () => {
    it('answers with bytes or nothing, and at once', async (fixture) => {
      const machine = fixture.create();
      for (let n = 0; n < COMMANDS; n++) {
        const answer: unknown = machine.apply(entryOf(fixture, n));
        expect(answer === undefined || answer instanceof Uint8Array).toBe(true);
      }
    });

    it('is deterministic: equal entries give equal answers, snapshots and hashes', async (fixture) => {
      const one = fixture.create();
      const other = fixture.create();
      for (let n = 0; n < COMMANDS; n++) {
        expect(textOf(one.apply(entryOf(fixture, n)))).toBe(textOf(other.apply(entryOf(fixture, n))));
      }
      expect(snapshotOf(one)).toBe(snapshotOf(other));
      expect(one.stateHash?.()).toBe(other.stateHash?.());
    });

    it('keeps copies of what it takes from an entry, whose bytes are only lent', async (fixture) => {
      const careful = fixture.create();
      const scrubbed = fixture.create();
      for (let n = 0; n < COMMANDS; n++) {
        careful.apply(entryOf(fixture, n));
        const entry = entryOf(fixture, n);
        scrubbed.apply(entry);
        entry.data.fill(SCRUB);
      }
      expect(snapshotOf(scrubbed)).toBe(snapshotOf(careful));
    });

    it('is equal after a restore, wherever the chunks are cut, and goes on equally', async (fixture) => {
      for (const cut of CUTS) {
        const source = fixture.create();
        apply(fixture, source, 0, COMMANDS / 2);
        const target = fixture.create();
        // A machine is restored over whatever state it had.
        apply(fixture, target, 0, cut % 5);
        const bytes = Buffer.concat([...source.snapshot()]);
        await target.restore(chunksOf(bytes, cut), COMMANDS / 2);
        expect(snapshotOf(target)).toBe(snapshotOf(source));
        expect(target.stateHash?.()).toBe(source.stateHash?.());
        for (let n = COMMANDS / 2; n < COMMANDS; n++) {
          expect(textOf(target.apply(entryOf(fixture, n)))).toBe(textOf(source.apply(entryOf(fixture, n))));
        }
        expect(snapshotOf(target)).toBe(snapshotOf(source));
      }
    });

    it('restores an empty state', async (fixture) => {
      const target = fixture.create();
      apply(fixture, target, 0, COMMANDS);
      const empty = fixture.create();
      await target.restore(chunksOf(Buffer.concat([...empty.snapshot()]), 16), 1);
      expect(snapshotOf(target)).toBe(snapshotOf(empty));
    });

    it('takes a snapshot of the moment it was asked for, whatever is applied while it is pulled', async (fixture) => {
      const machine = fixture.create();
      apply(fixture, machine, 0, COMMANDS / 2);
      const expected = snapshotOf(machine);
      const chunks: Uint8Array[] = [];
      const pulled = machine.snapshot();
      let n = COMMANDS / 2;
      machine.apply(entryOf(fixture, n++));
      for (const chunk of pulled) {
        chunks.push(Uint8Array.from(chunk));
        if (n < COMMANDS) machine.apply(entryOf(fixture, n++));
      }
      expect(Buffer.concat(chunks).toString('hex')).toBe(expected);
    });

    it('refuses a command that makes no sense with an answer, not with a throw', async (fixture) => {
      const machine = fixture.create();
      apply(fixture, machine, 0, 3);
      for (const data of [new Uint8Array(0), Buffer.from('\u0000\u00ff{]'), Buffer.alloc(300, SCRUB)]) {
        let thrown: unknown;
        try {
          machine.apply({ index: 1_000, term: 1, proposer: 'n1', time: 0, data });
        } catch (error) {
          thrown = error;
        }
        expect(thrown).toBe(undefined);
      }
    });
  });
}

function entryOf(fixture: StateMachineFixture, n: number): AppliedEntry {
  const data = Uint8Array.from(fixture.command(n));
  return {
    index: n + 1,
    term: 1 + Math.floor(n / 40),
    proposer: `n${(n % 3) + 1}`,
    time: 1_000 + n * 10,
    data,
  };
}

function apply(fixture: StateMachineFixture, machine: IStateMachine, from: number, to: number): void {
  for (let n = from; n < to; n++) machine.apply(entryOf(fixture, n));
}

function textOf(answer: Uint8Array | void): string {
  return answer === undefined ? 'nothing' : Buffer.from(answer).toString('hex');
}

function snapshotOf(machine: IStateMachine): string {
  return Buffer.concat([...machine.snapshot()]).toString('hex');
}

async function* chunksOf(bytes: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) {
    // Another turn of the loop between chunks, as when they come from a disk.
    await Promise.resolve();
    yield Uint8Array.from(bytes.subarray(at, at + size));
  }
}
