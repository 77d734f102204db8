// What is counted of a policy's calls: plain fields that only grow, added to where a call ends.

import type { Call, Ending } from '../engine/call.js';
import type { LatencySummary } from './latency-histogram.js';
import { LatencyHistogram } from './latency-histogram.js';

/** Latencies are those of the last one to two of these. */
const WINDOW_MS = 30_000;

/** What is known of one policy since it was set, for metrics. */
export interface PolicyStatistics extends LatencySummary {
  readonly name: string;
  readonly calls: number;
  readonly successes: number;
  /**
   * Failed in the end with an error of the action, a timeout or an injected fault. What another policy turned away within
   * the action is an error of the action.
   */
  readonly failures: number;
  /** Of the failures, those that a timeout strategy ended. */
  readonly timeouts: number;
  /** Turned away by a strategy of this policy, or because there are too many keys. */
  readonly rejections: number;
  /** Given up by their callers. */
  readonly cancelled: number;
  /** Attempts after the first. */
  readonly retries: number;
  /** Under way now, waiting ones included. */
  readonly inFlight: number;
  /** Keys that have state now. */
  readonly keys: number;
  /** The counters of each strategy by its name, outermost first. */
  readonly strategies: readonly {
    readonly type: string;
    readonly name: string;
    readonly counters: Readonly<Record<string, number>>;
  }[];
}

/** Counts of one policy. */
export class PolicyStats {
  calls = 0;
  successes = 0;
  failures = 0;
  timeouts = 0;
  rejections = 0;
  cancelled = 0;
  readonly latency: LatencyHistogram;

  constructor(now: number) {
    this.latency = new LatencyHistogram(now, WINDOW_MS);
  }

  get inFlight(): number {
    return this.calls - this.successes - this.failures - this.rejections - this.cancelled;
  }

  /** A call has ended. Latency is that of calls that ran to an end: who was turned away or left says nothing of it. */
  ended(call: Call, ending: Ending, now: number): void {
    if (ending === 'cancelled') {
      this.cancelled++;
      return;
    }
    if (ending === 'failed') {
      const by = call.rejectedBy;
      // A timeout and an injected fault stand for the action's own failure; the others say that it was not called.
      if (by !== undefined && by !== 'timeout' && by !== 'chaos') {
        this.rejections++;
        return;
      }
      this.failures++;
      if (by === 'timeout') this.timeouts++;
    } else this.successes++;
    this.latency.record(now - call.startedAt, now);
  }
}
