// Tells the host of failures and losses on the bus, so that a flood of them does not become a flood of log lines:
// the first of a kind is reported at once, those that follow within a second are reported as one with their number.

import type { Clock, TimerHandle } from '../time/index.js';

/** Something that went wrong on the bus, with how often. */
export interface BusReport {
  /**
   * - `handler-failed`: a handler threw or rejected
   * - `dropped`: a full subscription lost messages to its overflow rule
   * - `rejected`: a full subscription or responder refused messages
   */
  readonly kind: 'handler-failed' | 'dropped' | 'rejected';
  readonly topic: string;
  /** Whose handler or queue it is: a plugin id, or the host's own name. */
  readonly subscriber: string;
  /** How many since the last report of the same kind, topic and subscriber. */
  readonly count: number;
  /** What was thrown last, for `handler-failed`. */
  readonly error: unknown;
}

/** Receives reports. Must not throw. */
export type BusReportListener = (report: BusReport) => void;

const INTERVAL_MS = 1_000;
/** Kinds of reports that wait at most. Topic names may come from outside; what is beyond is reported under one name. */
const MAX_WAITING = 256;
const OTHER = '(other)';

interface Waiting {
  readonly kind: BusReport['kind'];
  readonly topic: string;
  readonly subscriber: string;
  count: number;
  error: unknown;
}

/** Gathers reports and hands them on at a bounded rate. */
export class BusReporter {
  private readonly waiting = new Map<string, Waiting>();
  private timer: TimerHandle | undefined;
  private failures = 0;

  constructor(
    private readonly listener: BusReportListener | undefined,
    private readonly clock: Clock,
  ) {}

  /** How often the listener itself threw. */
  get listenerFailures(): number {
    return this.failures;
  }

  handlerFailed(topic: string, subscriber: string, error: unknown): void {
    this.add('handler-failed', topic, subscriber, error);
  }

  dropped(topic: string, subscriber: string): void {
    this.add('dropped', topic, subscriber, undefined);
  }

  rejected(topic: string, subscriber: string): void {
    this.add('rejected', topic, subscriber, undefined);
  }

  /** Hands on what waits, and stops the timer. */
  close(): void {
    this.timer?.cancel();
    this.timer = undefined;
    this.flush();
    this.waiting.clear();
  }

  private add(kind: BusReport['kind'], topic: string, subscriber: string, error: unknown): void {
    if (this.listener === undefined) return;
    let key = `${kind} ${topic} ${subscriber}`;
    let entry = this.waiting.get(key);
    if (entry === undefined && this.waiting.size >= MAX_WAITING) {
      topic = OTHER;
      key = `${kind} ${OTHER} ${subscriber}`;
      entry = this.waiting.get(key);
    }
    if (entry !== undefined) {
      entry.count++;
      entry.error = error;
      return;
    }
    this.waiting.set(key, { kind, topic, subscriber, count: 0, error: undefined });
    this.timer ??= this.clock.setTimeout(() => this.tick(), INTERVAL_MS);
    this.emit({ kind, topic, subscriber, count: 1, error });
  }

  /** Reports what has come since, and forgets what has been quiet for a whole interval. */
  private tick(): void {
    this.timer = undefined;
    const busy = this.flush();
    if (busy) this.timer = this.clock.setTimeout(() => this.tick(), INTERVAL_MS);
  }

  private flush(): boolean {
    for (const [key, entry] of this.waiting) {
      if (entry.count === 0) {
        this.waiting.delete(key);
        continue;
      }
      const { kind, topic, subscriber, count, error } = entry;
      entry.count = 0;
      entry.error = undefined;
      this.emit({ kind, topic, subscriber, count, error });
    }
    return this.waiting.size > 0;
  }

  private emit(report: BusReport): void {
    try {
      this.listener?.(report);
    } catch (thrown) {
      // A broken listener must not break the bus. It is counted, and the first time the process is warned.
      if (this.failures++ === 0) process.emitWarning(thrown as Error, { type: 'BusReportListener' });
    }
  }
}
