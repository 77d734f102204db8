// Leader leases. A node that hears from a leader promises to help nobody else to lead for a while; a leader that a quorum
// has answered therefore knows that nobody else leads yet, and may answer reads alone.
//
// The promise runs by the clock of who gave it, from when it heard the leader. The lease runs by the leader's own clock,
// from when it SENT the heartbeats that were answered, which is earlier, and for less. So it ends first as long as two
// clocks differ in speed by no more than the margin. Only differences of one clock are ever taken.
//
// A lease is void once the term or the role changes, when leadership begins to be handed over, and when the clock has
// jumped: the process stood still, and what its clock shows is not what it showed to the others. A promise outlasts such a
// jump, which may have been one of the clock alone. Once the target of a
// transfer was told to stand at once, voters may break their promises for it for as long as the term lasts, so there is
// no lease any more in that term. A lease that is not held costs a round of heartbeats for a read, and nothing else.

import { raftConfigInvalid } from './errors.js';
import type { LeaseConfig } from './types.js';

/** Rounds whose time of sending is remembered until they are answered; beyond that the newest ones are not. */
const maxRounds = 64;
/**
 * Jumps that a promise outlasts. A clock does not leap so often in so short a time: a node that is late each time it looks
 * at its clock would else keep its promise for ever, and never help anybody to lead.
 */
const maxJumps = 16;

/** @throws DwError `raft-config-invalid`. */
export function checkLease({ promiseMs, driftMargin, maxPauseMs }: LeaseConfig): void {
  if (!(promiseMs > 0)) throw raftConfigInvalid('lease.promiseMs must be above 0');
  if (!(driftMargin > 0 && driftMargin < 1)) {
    throw raftConfigInvalid('lease.driftMargin must be above 0 and below 1');
  }
  if (!(maxPauseMs > 0)) throw raftConfigInvalid('lease.maxPauseMs must be above 0');
}

/** What one node has promised, and what it was promised. All times are milliseconds of its own monotonic clock. */
export class Lease {
  readonly #config: LeaseConfig | undefined;
  readonly #durationMs: number;
  readonly #mayHavePromised: boolean;
  #now: number | undefined;
  /** Nobody else is helped before this. */
  #promisedUntil = Number.NEGATIVE_INFINITY;
  /** Jumps that the present promise has outlasted. */
  #jumps = 0;
  /** Unanswered rounds, oldest first: number and time of sending. */
  #numbers: number[] = [];
  #sentAt: number[] = [];
  /** When the newest round was sent that a quorum has answered. */
  #heldFrom: number | undefined;
  #barred = false;

  /** `hasState`: the node has voted or followed before it was started, and so may have promised something. */
  constructor(config: LeaseConfig | undefined, hasState: boolean) {
    if (config !== undefined) checkLease(config);
    this.#config = config;
    this.#durationMs = config === undefined ? 0 : config.promiseMs * (1 - config.driftMargin);
    this.#mayHavePromised = hasState && config?.refuseVotesAfterStart === true;
  }

  /** Whether leases are measured here. */
  get inUse(): boolean {
    return this.#config !== undefined;
  }

  /** The clock shows this now. It should never go back; if it does, all begins anew from where it is. */
  setTime(now: number): void {
    if (this.#config === undefined) return;
    const before = this.#now;
    if (before === undefined) {
      this.#now = now;
      if (this.#mayHavePromised) this.#promisedUntil = now + this.#config.promiseMs;
      return;
    }
    const jumped = now - before > this.#config.maxPauseMs;
    if (now < before || jumped) this.void();
    // How long it was is not known, and may have been nothing: a promise that stands has as long to go as it had.
    if (jumped && this.#promisedUntil > before && this.#jumps++ < maxJumps)
      this.#promisedUntil += now - before;
    // A clock that went back must not be waited for: until it caught up a lease would seem not to age. A promise that
    // stands has no more than its whole length to go.
    if (now < before && this.#promisedUntil > before) this.#promisedUntil = now + this.#config.promiseMs;
    this.#now = now;
  }

  /** A leader of the present term was heard. */
  promise(): void {
    if (this.#config !== undefined && this.#now !== undefined) {
      this.#promisedUntil = this.#now + this.#config.promiseMs;
      this.#jumps = 0;
    }
  }

  /** Whether this node helps nobody to become leader now. Always so until it knows the time. */
  get isPromised(): boolean {
    if (this.#config === undefined) return false;
    return this.#now === undefined || this.#now < this.#promisedUntil;
  }

  /** A round of heartbeats goes out. Numbers only grow. */
  sent(round: number): void {
    if (this.#now === undefined || this.#numbers.length >= maxRounds) return;
    this.#numbers.push(round);
    this.#sentAt.push(this.#now);
  }

  /** A quorum has answered this round or a later one. */
  confirmed(round: number): void {
    let count = 0;
    while (count < this.#numbers.length && (this.#numbers[count] as number) <= round) count++;
    if (count === 0) return;
    this.#heldFrom = this.#sentAt[count - 1];
    this.#numbers.splice(0, count);
    this.#sentAt.splice(0, count);
  }

  /** Milliseconds for which nobody else can lead; 0 when that is not known. */
  get remainingMs(): number {
    return this.#now === undefined ? 0 : this.remainingAt(this.#now);
  }

  /** The same by the clock as it is now, which nobody has set here yet. */
  remainingAt(now: number): number {
    if (this.#heldFrom === undefined || this.#now === undefined || this.#barred) return 0;
    const passed = now - this.#now;
    if (passed < 0 || passed > (this.#config?.maxPauseMs ?? 0)) return 0;
    return Math.max(0, this.#heldFrom + this.#durationMs - now);
  }

  /** Nothing that was sent so far counts any more. */
  void(): void {
    this.#heldFrom = undefined;
    this.#numbers = [];
    this.#sentAt = [];
  }

  /** Promises may be broken from here on, for as long as this node leads. */
  bar(): void {
    this.#barred = true;
  }

  /** A new term or role. What was promised to a leader stands. */
  reset(): void {
    this.void();
    this.#barred = false;
  }
}
