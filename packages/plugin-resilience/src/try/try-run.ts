// Tries a policy: makes calls of a URL under it and tells of each what became of it, so that somebody can watch a breaker
// open. The number of calls, how many at once and the whole time are bounded; a reader that is slow slows the calls down.

import type { Clock } from '@datawarehouse/sdk';
import { errorMessage, isDwError, sleep } from '@datawarehouse/sdk';
import type { CircuitState } from '../engine/events.js';
import { rejectingStrategy, tryRunOver } from '../errors.js';
import type { ResilienceService } from '../policy/resilience-service.js';
import type { TryRequest } from './try-request.js';

/** The whole of a run takes at most so long. */
export const MAX_RUN_MS = 300_000;
/** Events that wait for the reader; then no further call begins. */
const MAX_WAITING = 256;

/** What to try. */
export interface TryOptions {
  readonly policy: string;
  readonly url: string;
  readonly method: 'GET' | 'HEAD';
  readonly calls: number;
  /** Calls under way at once. */
  readonly concurrency: number;
  /** Between the end of a call and the next one in its place. */
  readonly intervalMs: number;
  /** Key of the policy, whose breakers and limits are tried. */
  readonly key: string;
}

/** One thing that happens in a run. */
export type TryEvent =
  | ({ readonly kind: 'start'; readonly circuit: CircuitState | null } & TryOptions)
  | {
      readonly kind: 'call';
      /** From 1, in the order in which they began. */
      readonly n: number;
      /** Since the run began. */
      readonly atMs: number;
      readonly outcome: 'succeeded' | 'failed' | 'rejected';
      /** Of the last answer. */
      readonly status?: number;
      readonly code?: string;
      readonly message?: string;
      readonly ms: number;
      /** Times that the URL was asked. 0: the policy did not let the call through, or it shared another's answer. */
      readonly attempts: number;
      /** State of the outermost breaker afterwards; null without any. */
      readonly circuit: CircuitState | null;
    }
  | {
      readonly kind: 'circuit';
      readonly atMs: number;
      readonly strategy: string;
      readonly previous: CircuitState;
      readonly current: CircuitState;
      readonly reason: string;
      readonly breakMs?: number;
    }
  | {
      readonly kind: 'done';
      readonly ended: 'all-made' | 'out-of-time';
      readonly ms: number;
      readonly calls: number;
      readonly succeeded: number;
      readonly failed: number;
      readonly rejected: number;
      readonly attempts: number;
    };

type CallEvent = Extract<TryEvent, { readonly kind: 'call' }>;

/** What a run needs. */
export interface TryParts {
  readonly service: Pick<ResilienceService, 'policy' | 'execute' | 'breakers' | 'listenToChanges'>;
  readonly clock: Clock;
  readonly request: TryRequest;
}

/** One run. It begins when it is made, whoever reads {@link events}, and ends by itself. */
export class TryRun {
  /** Resolves when nothing of it is under way any more. Never rejects. */
  readonly ended: Promise<void>;
  private readonly startedAt: number;
  private readonly stop = new AbortController();
  private readonly waiting: TryEvent[] = [];
  private readonly counts = { calls: 0, succeeded: 0, failed: 0, rejected: 0, attempts: 0 };
  private begun = 0;
  private over = false;
  private wakeReader: (() => void) | undefined;
  private readonly wakeWriters: (() => void)[] = [];

  /** @param signal Breaks the run off. @throws DwError `policy-unknown`. */
  constructor(
    private readonly parts: TryParts,
    private readonly options: TryOptions,
    private readonly signal: AbortSignal,
  ) {
    parts.service.policy(options.policy);
    this.startedAt = parts.clock.now();
    this.ended = this.run();
  }

  /** What happens, as it happens. To be read once. */
  async *events(): AsyncGenerator<TryEvent> {
    try {
      for (;;) {
        const next = this.waiting.shift();
        if (next !== undefined) {
          this.wakeWriters.shift()?.();
          yield next;
        } else if (this.over) return;
        else await new Promise<void>((resolve) => (this.wakeReader = resolve));
      }
    } finally {
      this.stop.abort(tryRunOver());
    }
  }

  private async run(): Promise<void> {
    const { service, clock } = this.parts;
    const { policy, key, concurrency, calls } = this.options;
    const brokenOff = (): void => this.stop.abort(this.signal.reason);
    this.signal.addEventListener('abort', brokenOff, { once: true });
    if (this.signal.aborted) brokenOff();
    let ended: 'all-made' | 'out-of-time' = 'all-made';
    const timer = clock.setTimeout(() => {
      ended = 'out-of-time';
      this.stop.abort(tryRunOver());
    }, MAX_RUN_MS);
    this.stop.signal.addEventListener('abort', () => {
      for (const wake of this.wakeWriters.splice(0)) wake();
    });
    const listening = service.listenToChanges((event) => {
      if (event.kind !== 'circuit-changed' || event.policy !== policy || event.key !== key) return;
      const { strategy, previous, current, reason, breakMs } = event;
      const atMs = clock.now() - this.startedAt;
      const changed = { kind: 'circuit', atMs, strategy, previous, current, reason } as const;
      this.tell(breakMs === undefined ? changed : { ...changed, breakMs });
    });
    this.tell({ kind: 'start', circuit: this.circuit(), ...this.options });
    const workers = Array.from({ length: Math.min(concurrency, calls) }, () => this.work());
    await Promise.all(workers);
    // What the last call did to a breaker is told in a turn of its own.
    await Promise.resolve();
    listening[Symbol.dispose]();
    timer.cancel();
    this.signal.removeEventListener('abort', brokenOff);
    this.tell({ kind: 'done', ended, ms: clock.now() - this.startedAt, ...this.counts });
    this.over = true;
    this.wakeReader?.();
  }

  private async work(): Promise<void> {
    const { signal } = this.stop;
    while (this.begun < this.options.calls && !signal.aborted) {
      await this.call(++this.begun);
      while (this.waiting.length >= MAX_WAITING && !signal.aborted) {
        await new Promise<void>((resolve) => this.wakeWriters.push(resolve));
      }
      if (this.options.intervalMs === 0 || this.begun >= this.options.calls || signal.aborted) continue;
      // Broken off while it waits: the loop sees it.
      await sleep(this.parts.clock, this.options.intervalMs, signal).catch(() => undefined);
    }
  }

  private async call(n: number): Promise<void> {
    const { service, clock, request } = this.parts;
    const { policy, key, url, method } = this.options;
    const began = clock.now();
    let attempts = 0;
    let status: number | undefined;
    const action = async (signal: AbortSignal): Promise<void> => {
      attempts++;
      status = undefined;
      await request(url, method, signal, (answered) => (status = answered));
    };
    let failure: { readonly error: unknown } | undefined;
    try {
      await service.execute(policy, action, { key, signal: this.stop.signal });
    } catch (error) {
      if (this.stop.signal.aborted) return;
      failure = { error };
    }
    const outcome = outcomeOf(failure);
    this.counts.calls++;
    this.counts[outcome]++;
    this.counts.attempts += attempts;
    const told: CallEvent = {
      kind: 'call',
      n,
      atMs: began - this.startedAt,
      outcome,
      ms: clock.now() - began,
      attempts,
      circuit: this.circuit(),
      ...(status === undefined ? {} : { status }),
      ...(failure === undefined ? {} : describe(failure.error)),
    };
    this.tell(told);
  }

  private circuit(): CircuitState | null {
    const { service, clock } = this.parts;
    const [breaker] = service.breakers(this.options.policy, this.options.key);
    if (breaker !== undefined) return breaker.view(clock.now()).state;
    // A key that was not used yet has a breaker that is closed, if the policy has one.
    const { strategies } = service.policy(this.options.policy).state();
    return strategies.includes('circuit-breaker') ? 'closed' : null;
  }

  /** Few more than the bound, since no call begins above it. */
  private tell(event: TryEvent): void {
    this.waiting.push(event);
    const wake = this.wakeReader;
    this.wakeReader = undefined;
    wake?.();
  }
}

function outcomeOf(failure: { readonly error: unknown } | undefined): 'succeeded' | 'failed' | 'rejected' {
  if (failure === undefined) return 'succeeded';
  const by = rejectingStrategy(failure.error);
  return by === undefined || by === 'timeout' ? 'failed' : 'rejected';
}

function describe(error: unknown): { readonly code?: string; readonly message: string } {
  const message = errorMessage(error).slice(0, 300);
  return isDwError(error) ? { code: error.code, message } : { message };
}
