// How long what a breaker guards takes to recover, from the breaker's transitions. A breaker looks only when it probes, so
// a recovery is known to lie between the last failure that was seen and the first success: a break that is long itself
// does not make recoveries look slow.

import type { ResilienceEvent } from '@datawarehouse/sdk';

/** Bounds of one recovery, in ms from when the breaker opened. */
export interface Recovery {
  /** The last probe that failed; 0 when the first one succeeded. */
  readonly atLeastMs: number;
  /** The probe that closed it. */
  readonly atMostMs: number;
}

/** Outages that are watched at once at most; the oldest is forgotten then: it may be of a key that nobody uses any more. */
const MAX_OUTAGES = 1_000;
/** Recoveries of one breaker that are kept until they are taken; older ones are dropped. */
const MAX_RECOVERIES = 64;

interface Outage {
  readonly openedAt: number;
  readonly failedAt: number | undefined;
}

/** Measures recoveries. */
export class RecoveryTimes {
  private readonly outages = new Map<string, Outage>();
  private readonly recoveries = new Map<string, Recovery[]>();

  /** A breaker has changed its state. What an operator or another node did says nothing of recovery. */
  heard(event: Extract<ResilienceEvent, { kind: 'circuit-changed' }>, now: number): void {
    const { policy, strategy, key, previous, current, source } = event;
    const breaker = JSON.stringify([policy, strategy, key]);
    if (source !== 'calls') {
      this.outages.delete(breaker);
      return;
    }
    if (previous === 'closed' && current === 'open') {
      this.outages.delete(breaker);
      if (this.outages.size >= MAX_OUTAGES) this.outages.delete(this.outages.keys().next().value as string);
      this.outages.set(breaker, { openedAt: now, failedAt: undefined });
      return;
    }
    const outage = this.outages.get(breaker);
    if (outage === undefined) return;
    if (current === 'open') this.outages.set(breaker, { openedAt: outage.openedAt, failedAt: now });
    if (current !== 'closed') return;
    this.outages.delete(breaker);
    const { openedAt, failedAt = openedAt } = outage;
    this.keep(nameOf(policy, strategy), { atLeastMs: failedAt - openedAt, atMostMs: now - openedAt });
  }

  /** The recoveries of a breaker, over all keys, since they were last taken. */
  take(policy: string, strategy: string): readonly Recovery[] {
    const name = nameOf(policy, strategy);
    const taken = this.recoveries.get(name) ?? [];
    this.recoveries.delete(name);
    return taken;
  }

  /** Forgets recoveries that nobody took: of policies that are not there any more. */
  clear(): void {
    this.recoveries.clear();
  }

  private keep(name: string, recovery: Recovery): void {
    const kept = this.recoveries.get(name) ?? [];
    if (kept.length === MAX_RECOVERIES) kept.shift();
    kept.push(recovery);
    this.recoveries.set(name, kept);
  }
}

function nameOf(policy: string, strategy: string): string {
  return JSON.stringify([policy, strategy]);
}
