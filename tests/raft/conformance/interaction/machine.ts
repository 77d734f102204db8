// The state machines of the harness: upstream's, which appends all payloads, and the one that the product runs in a group,
// sessions around keys and values, taken as it is.

import type { Logger } from '@datawarehouse/sdk';
import { decodeEnvelope } from '#consensus/engine/entry-envelope.js';
import { GroupState } from '#consensus/state/group-state.js';
import { KeyValueState } from '#consensus/state/key-value-state.js';
import type { Outcome } from '#consensus/state/outcome.js';
import type { Entry, Snapshot } from '#consensus/raft/types.js';

/** What a node applies entries to. */
export interface Machine {
  /** Applies an entry and says what became of it. */
  apply(entry: Entry): string;
  snapshot(): Uint8Array;
  /** Takes on a snapshot; an empty one, as witnesses get, is the state before the first entry. */
  restore(snapshot: Snapshot): Promise<void>;
  /** The whole state in one line. */
  describe(): string;
}

/** Appends what it is given. */
export class AppendingMachine implements Machine {
  #data = new Uint8Array(0);

  apply(entry: Entry): string {
    this.#data = Uint8Array.from([...this.#data, ...entry.data]);
    return 'appended';
  }

  snapshot(): Uint8Array {
    return this.#data;
  }

  restore({ data }: Snapshot): Promise<void> {
    this.#data = Uint8Array.from(data);
    return Promise.resolve();
  }

  describe(): string {
    return JSON.stringify(Buffer.from(this.#data).toString('utf8'));
  }
}

/** The group state of the product: exactly once by sessions, over the key-value store. */
export class SessionMachine implements Machine {
  #store = new KeyValueState();
  #state = new GroupState(this.#store);

  apply(entry: Entry): string {
    // The empty entry of a new leader; and all entries of a witness.
    if (entry.data.length === 0) return 'nothing';
    const { index, term } = entry;
    const { kind, proposer, time, data } = decodeEnvelope(entry.data);
    return describeOutcome(this.#state.apply(kind, { index, term, proposer, time, data }));
  }

  snapshot(): Uint8Array {
    return Buffer.concat([...this.#state.snapshot()]);
  }

  async restore({ data, metadata }: Snapshot): Promise<void> {
    this.#store = new KeyValueState();
    this.#state = new GroupState(this.#store);
    if (data.length === 0) return;
    const restorer = this.#state.beginRestore(metadata.index);
    await restorer.push(data);
    await restorer.finish();
  }

  describe(): string {
    const keys = this.#store.list('', undefined, 1_000).map(({ key, version }) => {
      const value = this.#store.get(key)?.value ?? new Uint8Array(0);
      return `${key}=${Buffer.from(value).toString('utf8')}@${version}`;
    });
    const { size, outcomes } = this.#state.sessions;
    return `${keys.join(' ') || 'no keys'}; sessions ${size}, outcomes ${outcomes}`;
  }
}

function describeOutcome(outcome: Outcome): string {
  const { status, ...rest } = outcome;
  const fields = Object.entries(rest).map(([name, value]) => `${name}=${String(value)}`);
  return [status, ...fields].join(' ');
}

const silent = (): void => {};

/** A logger that nobody reads. */
export const silentLogger: Logger = {
  debug: silent,
  info: silent,
  warn: silent,
  error: silent,
  child: () => silentLogger,
};
