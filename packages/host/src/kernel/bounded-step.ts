// Runs code of a plugin with a deadline. The promise it gives settles once, at the deadline at the latest; what the
// plugin's own promise does afterwards is heard of, and changes nothing.

import type { Clock } from '@datawarehouse/sdk';

/** How a bounded step ended. */
export type StepOutcome<T> =
  | { readonly kind: 'done'; readonly value: T }
  | { readonly kind: 'failed'; readonly error: unknown }
  | { readonly kind: 'timeout' }
  | { readonly kind: 'aborted' };

/** Options of {@link runBounded}. */
export interface BoundedStepOptions {
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** Ends the step early, with outcome `aborted`. */
  readonly abort?: AbortSignal;
  /** Told when the step settles after its time was up. */
  readonly onLate?: (late: { readonly value: unknown } | { readonly error: unknown }) => void;
}

/**
 * Calls `step` with a signal that aborts when its time is up or `abort` does. Never rejects.
 */
export function runBounded<T>(
  step: (signal: AbortSignal) => Promise<T> | T,
  options: BoundedStepOptions,
): Promise<StepOutcome<T>> {
  const { clock, timeoutMs, abort, onLate } = options;
  return new Promise((resolve) => {
    const controller = new AbortController();
    let settled = false;
    const settle = (outcome: StepOutcome<T>): void => {
      if (settled) return;
      settled = true;
      timer.cancel();
      abort?.removeEventListener('abort', onAbort);
      resolve(outcome);
    };
    const giveUp = (outcome: StepOutcome<T>): void => {
      if (settled) return;
      settle(outcome);
      // Listeners on the signal are the plugin's: they run after the outcome is fixed, and cannot throw at us.
      controller.abort();
    };
    const onAbort = (): void => giveUp({ kind: 'aborted' });
    const timer = clock.setTimeout(() => giveUp({ kind: 'timeout' }), timeoutMs);
    if (abort?.aborted) {
      onAbort();
      return;
    }
    abort?.addEventListener('abort', onAbort, { once: true });
    let running: Promise<T> | T;
    try {
      running = step(controller.signal);
    } catch (error) {
      settle({ kind: 'failed', error });
      return;
    }
    Promise.resolve(running).then(
      (value) => (settled ? onLate?.({ value }) : settle({ kind: 'done', value })),
      (error: unknown) => (settled ? onLate?.({ error }) : settle({ kind: 'failed', error })),
    );
  });
}
