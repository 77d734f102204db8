// Remembers the outcome of commands that carry a plain idempotency key: the session that a group has for all clients
// that opened none. Like a session it is part of the replicated state; unlike one it is shared, so nobody acknowledges
// and the least recently used key goes.

import type { Outcome } from '../outcome.js';
import { outcomeHash, resultBytes } from '../outcome.js';
import type { HashPair } from '../state-hash.js';
import { HashSum, hashRecord, hashText, mix } from '../state-hash.js';
import { MAX_IDEMPOTENCY_KEYS, MAX_KEYED_RESULT_BYTES } from './limits.js';
import type { Recent } from './recency-log.js';
import { RecencyLog } from './recency-log.js';

const KEYED_OUTCOME = 2;

/** A request as a snapshot has it. */
export interface KeyedRecord {
  readonly key: string;
  /** Of the request: another one under the same key is a mistake of the client. */
  readonly fingerprint: string;
  readonly outcome: Outcome;
  /** Index of the last entry with this key. */
  readonly lastUsed: number;
}

/** Never changed once made, but for its slot, so that views can share it. */
interface Keyed extends KeyedRecord, Recent {
  readonly hash: HashPair;
}

const REUSED: Outcome = { status: 'idempotency-key-reused' };

/** A bounded table of requests by key. */
export class IdempotencyTable {
  private readonly byKey = new Map<string, Keyed>();
  private readonly recency = new RecencyLog<Keyed>();
  private readonly sum = new HashSum();
  private bytes = 0;

  /** @param capacity Requests remembered. Equal on all replicas, like `maxBytes` of their results. */
  constructor(
    private readonly capacity: number = MAX_IDEMPOTENCY_KEYS,
    private readonly maxBytes: number = MAX_KEYED_RESULT_BYTES,
  ) {}

  /** Requests remembered now. */
  get size(): number {
    return this.byKey.size;
  }

  /** Sum of the hashes of all entries. */
  get hash(): HashPair {
    return this.sum;
  }

  /**
   * The entry at `index` carries this key.
   * @returns the outcome it had, or a refusal; undefined when the request is to be applied now.
   */
  admit(key: string, fingerprint: string, index: number): Outcome | undefined {
    const known = this.byKey.get(key);
    if (known === undefined) return undefined;
    const used = makeKeyed({ key, fingerprint: known.fingerprint, outcome: known.outcome, lastUsed: index });
    this.byKey.set(key, used);
    this.recency.replace(known, used);
    this.sum.subtract(known.hash);
    this.sum.add(used.hash);
    return known.fingerprint === fingerprint ? known.outcome : REUSED;
  }

  /** Remembers a request whose key is not in the table and that was used last. Forgets old ones where there are too many. */
  remember(record: KeyedRecord): void {
    const keyed = makeKeyed(record);
    this.byKey.set(keyed.key, keyed);
    this.recency.add(keyed);
    this.sum.add(keyed.hash);
    this.bytes += resultBytes(keyed.outcome);
    while (this.byKey.size > this.capacity || this.bytes > this.maxBytes) {
      const { oldest } = this.recency;
      if (oldest === undefined || oldest === keyed) return;
      this.forget(oldest);
    }
  }

  /** All requests as they are now, the least recently used first. */
  view(): TableView<KeyedRecord> {
    const order = this.recency.view();
    return { size: this.byKey.size, records: () => present(order) };
  }

  private forget(keyed: Keyed): void {
    this.byKey.delete(keyed.key);
    this.recency.remove(keyed);
    this.sum.subtract(keyed.hash);
    this.bytes -= resultBytes(keyed.outcome);
  }
}

/** A table as it was at one moment. */
export interface TableView<T> {
  readonly size: number;
  /** Made while they are pulled. */
  records(): Iterable<T>;
}

function* present<T>(order: readonly (T | undefined)[]): Generator<T> {
  for (const item of order) if (item !== undefined) yield item;
}

function makeKeyed({ key, fingerprint, outcome, lastUsed }: KeyedRecord): Keyed {
  const hash = keyedHash({ key, fingerprint, outcome, lastUsed });
  return { key, fingerprint, outcome, lastUsed, hash, slot: -1 };
}

function keyedHash({ key, fingerprint, outcome, lastUsed }: KeyedRecord): HashPair {
  return hashRecord(KEYED_OUTCOME, key, lastUsed, hashText(fingerprint) ^ mix(outcomeHash(outcome)));
}
