// Remembers the outcome of writes that carry an idempotency key, so that a retry is applied once. It is part of the
// replicated state: every replica holds the same entries, in snapshots too, and forgets the oldest at the same entry.

import type { Outcome } from './outcome.js';
import type { HashPair } from './state-hash.js';
import { ZERO_HASH, addHash, hashRecord, hashText, subtractHash } from './state-hash.js';

/**
 * Keys remembered for each group; the oldest goes first. It is a constant and no limit that an operator can change:
 * replicas that forget at different entries would no longer agree. A retry must come before so many other writes
 * with idempotency keys have been made to the same group.
 */
export const MAX_IDEMPOTENCY_KEYS = 100_000;

/** One remembered request. Never changed once made. */
export interface RememberedRequest {
  readonly key: string;
  readonly fingerprint: string;
  readonly outcome: Outcome;
  readonly hash: HashPair;
}

/** A bounded table of requests, oldest first. */
export class IdempotencyTable {
  private readonly byKey = new Map<string, RememberedRequest>();
  /**
   * The requests in order of arrival, in a ring: a Map alone would have to walk over all deleted entries to find its
   * oldest. `ring[(head + i) % capacity]` for `i < byKey.size`.
   */
  private readonly ring: RememberedRequest[] = [];
  private head = 0;
  private sum: HashPair = ZERO_HASH;

  /** @param capacity Requests remembered. Equal on all replicas. */
  constructor(private readonly capacity: number = MAX_IDEMPOTENCY_KEYS) {}

  /** Requests remembered now. */
  get size(): number {
    return this.byKey.size;
  }

  /** Sum of the hashes of all entries. */
  get hash(): HashPair {
    return this.sum;
  }

  /** What is remembered of a key. */
  get(key: string): RememberedRequest | undefined {
    return this.byKey.get(key);
  }

  /** Remembers a request whose key is not in the table, and forgets the oldest when the table is full. */
  add(key: string, fingerprint: string, outcome: Outcome): void {
    const request: RememberedRequest = {
      key,
      fingerprint,
      outcome,
      hash: hashRecord(2, key, outcomeNumber(outcome), hashText(fingerprint + outcome.status)),
    };
    if (this.byKey.size < this.capacity) {
      this.ring.push(request);
    } else {
      const oldest = this.ring[this.head] as RememberedRequest;
      this.byKey.delete(oldest.key);
      this.sum = subtractHash(this.sum, oldest.hash);
      this.ring[this.head] = request;
      this.head = (this.head + 1) % this.capacity;
    }
    this.byKey.set(key, request);
    this.sum = addHash(this.sum, request.hash);
  }

  /** All entries, oldest first, as they are now. */
  view(): readonly RememberedRequest[] {
    return this.head === 0
      ? this.ring.slice()
      : [...this.ring.slice(this.head), ...this.ring.slice(0, this.head)];
  }
}

function outcomeNumber(outcome: Outcome): number {
  if (outcome.status === 'written') return outcome.version;
  if (outcome.status === 'deleted') return outcome.version * 2 + (outcome.existed ? 1 : 0);
  return outcome.status === 'version-mismatch' ? (outcome.currentVersion ?? 0) : 0;
}
