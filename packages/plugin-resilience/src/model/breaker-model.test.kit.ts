// What a breaker of consecutive failures is, said again in as few words as possible, to compare the real one with.

import type { CircuitState } from '../engine/events.js';

/** Limits of a breaker now. */
export interface BreakerLimits {
  readonly failures: number;
  readonly breakMs: number;
  readonly halfOpenProbes: number;
  readonly successesToClose: number;
}

/** A call that the breaker let in. */
export interface Pass {
  readonly probe: boolean;
  readonly life: number;
}

/** The breaker of one key. */
export class BreakerModel {
  state: CircuitState = 'closed';
  /** Calls that came when it let none in are refused; when it was last so, for what is heard of a moment later. */
  refusedAt = -1;
  private until = 0;
  private failed = 0;
  private succeeded = 0;
  private probes = 0;
  /** Rises with each change: a call of an earlier life says nothing. */
  private life = 0;
  /** Probes of lives before this one lost their places when somebody took the breaker in hand. */
  private freedBefore = 0;

  constructor(private readonly limits: () => BreakerLimits) {}

  /** Whether it lets a call in. */
  allows(now: number): boolean {
    if (this.state === 'closed') return true;
    if (this.state === 'isolated') return false;
    if (this.state === 'open' && now < this.until) return false;
    return this.probes < this.limits().halfOpenProbes;
  }

  /** A call goes in, which {@link allows} it to. */
  enter(now: number): Pass {
    if (this.state === 'open') this.turn('half-open', now);
    const probe = this.state === 'half-open';
    if (probe) this.probes++;
    return { probe, life: this.life };
  }

  /** A call is given up: it says nothing. */
  abandon({ probe, life }: Pass, now: number): void {
    this.notePossibleRefusal(now);
    if (probe && life >= this.freedBefore) this.probes--;
  }

  /** A call has ended. */
  leave(pass: Pass, failed: boolean, now: number): void {
    this.abandon(pass, now);
    if (pass.life !== this.life) return;
    if (pass.probe) {
      if (failed) this.open(now);
      else if (++this.succeeded >= this.limits().successesToClose) this.turn('closed', now);
      return;
    }
    this.failed = failed ? this.failed + 1 : 0;
    if (failed && this.failed >= this.limits().failures) this.open(now);
  }

  isolate(now: number): void {
    if (this.state !== 'isolated') this.turn('isolated', now);
    this.freeProbes();
  }

  reset(now: number): void {
    this.turn('closed', now);
    this.freeProbes();
  }

  private freeProbes(): void {
    this.probes = 0;
    this.freedBefore = this.life;
  }

  private open(now: number): void {
    this.until = now + this.limits().breakMs;
    this.turn('open', now);
  }

  private turn(state: CircuitState, now: number): void {
    this.notePossibleRefusal(now);
    this.state = state;
    this.failed = 0;
    this.succeeded = 0;
    this.life++;
  }

  private notePossibleRefusal(now: number): void {
    if (!this.allows(now)) this.refusedAt = now;
  }
}
