// A group's state: whatever is retried, repeated by the network, snapshotted and restored, no command of a session is
// applied twice, and all replicas stay equal.

import { isDwError } from '@datawarehouse/sdk';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { malformed } from '../errors.js';
import { encodeCommand } from './command.js';
import type { EntryKind } from './group-state.js';
import { GroupState } from './group-state.js';
import { KeyValueState } from './key-value-state.js';
import type { Outcome } from './outcome.js';
import type { ReplicatedState } from './replicated-state.js';
import type { SessionBounds } from './sessions/session-table.js';
import { SESSION_BOUNDS } from './sessions/session-table.js';
import { encodeKeyedCommand, encodeSessionCommand, encodeSessionId } from './sessions/command-header.js';

/** So tight that sessions are forgotten and refuse commands all the time. */
const TIGHT: SessionBounds = {
  sessions: 3,
  outcomesPerSession: 3,
  outcomes: 7,
  resultBytesPerSession: 100,
  resultBytes: 100,
};
const NEVER_TWICE = new Set(['session-expired', 'sequence-acknowledged', 'session-full', 'sequence-reused']);

/** Remembers every command that it was given, as a list in its state. */
class Ledger implements ReplicatedState {
  applied: string[] = [];

  apply({ data }: { readonly data: Uint8Array }): Outcome {
    this.applied.push(Buffer.from(data).toString());
    return { status: 'written', version: this.applied.length };
  }

  snapshot(): Iterable<Uint8Array> {
    return [Buffer.from(JSON.stringify(this.applied))];
  }

  beginRestore() {
    const chunks: Uint8Array[] = [];
    return {
      push: (chunk: Uint8Array) => void chunks.push(chunk),
      finish: () => {
        this.applied = JSON.parse(Buffer.concat(chunks).toString()) as string[];
      },
    };
  }

  stateHash(): string {
    return this.applied.join();
  }
}

type Step =
  | { readonly do: 'open' }
  | { readonly do: 'close'; readonly session: number }
  | { readonly do: 'send'; readonly session: number; readonly sequence: number; readonly acknowledge: number }
  | { readonly do: 'keyed'; readonly key: number }
  | { readonly do: 'resend'; readonly which: number }
  | { readonly do: 'snapshot'; readonly cut: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ do: fc.constant('open' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('close' as const), session: fc.nat(8) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('send' as const),
      session: fc.nat(8),
      sequence: fc.nat(12),
      acknowledge: fc.nat(5),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('keyed' as const), key: fc.nat(4) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('resend' as const), which: fc.nat(200) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('snapshot' as const), cut: fc.integer({ min: 1, max: 60 }) }),
  },
);

function bytesOf(state: GroupState): Buffer {
  return Buffer.concat([...state.snapshot()]);
}

async function restored(
  bytes: Buffer,
  cut: number,
  machine: ReplicatedState,
  bounds = SESSION_BOUNDS,
): Promise<GroupState> {
  const state = new GroupState(machine, bounds);
  const restorer = state.beginRestore(7);
  for (let at = 0; at < bytes.length; at += cut) await restorer.push(bytes.subarray(at, at + cut));
  await restorer.finish();
  return state;
}

interface LogEntry {
  readonly kind: EntryKind;
  readonly data: Uint8Array;
}

describe('a group state', () => {
  it('applies each command once under any order of retries, acknowledgements, snapshots and restores', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 150, size: 'max' }),
        fc.constantFrom(SESSION_BOUNDS, TIGHT),
        async (steps, bounds) => {
          const log: LogEntry[] = [];
          const straight = new GroupState(new Ledger(), bounds);
          let other = new GroupState(new Ledger(), bounds);
          const sessions: number[] = [];
          const first = new Map<string, Outcome>();
          const acknowledged = new Map<number, number>();

          const append = (entry: LogEntry): Outcome => {
            log.push(entry);
            const applied = { index: log.length, term: 1, proposer: 'n1', time: 0, data: entry.data };
            const outcome = straight.apply(entry.kind, applied);
            expect(other.apply(entry.kind, applied)).toEqual(outcome);
            return outcome;
          };
          const send = (session: number, sequence: number, lowestWanted: number): void => {
            const name = `${session}/${sequence}`;
            const alive = straight.sessions.has(session);
            const outcome = append({
              kind: 'session-command',
              data: encodeSessionCommand({ session, sequence, lowestWanted }, Buffer.from(name)),
            });
            if (alive) acknowledged.set(session, Math.max(acknowledged.get(session) ?? 0, lowestWanted));
            const before = first.get(name);
            if (!alive) expect(outcome.status).toBe('session-expired');
            else if (sequence < (acknowledged.get(session) ?? 0))
              expect(outcome.status).toBe('sequence-acknowledged');
            else if (before !== undefined) expect(outcome).toEqual(before);
            else expect(outcome.status).toMatch(/^(written|session-full)$/);
            if (!NEVER_TWICE.has(outcome.status) && before === undefined) first.set(name, outcome);
          };

          for (const now of steps) {
            if (now.do === 'open') {
              const outcome = append({ kind: 'open-session', data: new Uint8Array(0) });
              if (outcome.status === 'session-opened') sessions.push(outcome.session);
            } else if (now.do === 'close') {
              append({ kind: 'close-session', data: encodeSessionId(sessions[now.session] ?? 9_999) });
            } else if (now.do === 'send') {
              send(sessions[now.session] ?? 9_999, now.sequence, Math.max(0, now.sequence - now.acknowledge));
            } else if (now.do === 'keyed') {
              append({
                kind: 'keyed-command',
                data: encodeKeyedCommand(`k${now.key}`, Buffer.from(`key ${now.key}`)),
              });
            } else if (now.do === 'resend') {
              const entry = log[now.which];
              if (entry?.kind === 'session-command') append(entry);
            } else {
              other = await restored(bytesOf(other), now.cut, new Ledger(), bounds);
            }
          }
          const { applied } = straight.machine as Ledger;
          expect(new Set(applied).size).toBe(applied.length);
          expect((other.machine as Ledger).applied).toEqual(applied);
          expect(other.stateHash(log.length)).toBe(straight.stateHash(log.length));
          expect(bytesOf(other).equals(bytesOf(straight))).toBe(true);
        },
      ),
      { numRuns: 120, endOnFailure: true },
    );
  });

  it('forgets the same sessions on a replica that came from a snapshot', async () => {
    const one = new GroupState(new Ledger());
    for (let index = 1; index <= 10_000; index++) open(one, index);
    for (let index = 10_001; index <= 10_100; index++) command(one, index, index - 10_000, 1);
    const other = await restored(bytesOf(one), 60_000, new Ledger());
    for (let index = 10_101; index <= 10_300; index++) expect(open(other, index)).toEqual(open(one, index));
    expect(other.stateHash(10_300)).toBe(one.stateHash(10_300));
    // The first hundred were used; the two hundred after them were not.
    expect([1, 100, 101, 300, 301].map((id) => other.sessions.has(id))).toEqual([
      true,
      true,
      false,
      false,
      true,
    ]);
  });

  it('takes data that does not follow its format as an entry that changes nothing', () => {
    const state = new GroupState(new KeyValueState());
    const before = state.stateHash(1);
    for (const kind of ['session-command', 'keyed-command', 'close-session', 'opaque'] as const) {
      const entry = { index: 1, term: 1, proposer: 'n1', time: 0, data: Buffer.from([0xff]) };
      expect(state.apply(kind, entry)).toEqual({ status: 'committed' });
    }
    expect(state.stateHash(1)).toBe(before);
  });

  it('remembers nothing of a command at which the machine failed, whatever its error says', () => {
    const state = new GroupState({
      apply: () => {
        throw malformed('the machine', 'it is broken');
      },
      snapshot: () => [],
      beginRestore: () => ({ push: () => undefined, finish: () => undefined }),
      stateHash: () => '',
    });
    open(state, 1);
    for (let index = 2; index < 5; index++) expect(() => command(state, index, 1, 1)).toThrow('broken');
    expect(state.sessions.outcomes).toBe(0);
  });

  it('refuses a damaged snapshot and stays as it was', async () => {
    const source = new GroupState(new KeyValueState());
    open(source, 1);
    command(source, 2, 1, 1, encodeCommand('put', 'a', Buffer.from('1'), undefined));
    const good = bytesOf(source);
    const target = new GroupState(new KeyValueState());
    open(target, 7);
    const before = target.stateHash(7);
    const refuses = async (bytes: Buffer): Promise<boolean> => {
      const restorer = target.beginRestore(7);
      try {
        await restorer.push(bytes);
        await restorer.finish();
        return false;
      } catch (error) {
        return isDwError(error, 'snapshot-damaged');
      }
    };
    for (let at = 0; at < good.length; at++) {
      const bad = Buffer.from(good);
      bad[at] = (bad[at] as number) ^ 0x10;
      expect(await refuses(bad)).toBe(true);
      expect(await refuses(Buffer.from(good.subarray(0, at)))).toBe(true);
    }
    expect(target.stateHash(7)).toBe(before);
  });
});

function open(state: GroupState, index: number): Outcome {
  return state.apply('open-session', { index, term: 1, proposer: 'n1', time: 0, data: new Uint8Array(0) });
}

function command(
  state: GroupState,
  index: number,
  session: number,
  sequence: number,
  data: Uint8Array = Buffer.from('x'),
): Outcome {
  const bytes = encodeSessionCommand({ session, sequence, lowestWanted: 0 }, data);
  return state.apply('session-command', { index, term: 1, proposer: 'n1', time: 0, data: bytes });
}
