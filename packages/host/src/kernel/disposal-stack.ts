// Undoes in reverse order what a plugin took. Each step is isolated, so that one that throws or hangs keeps no other
// from being done, and bounded, so that all together end.

import type { Clock } from '@datawarehouse/sdk';
import { runBounded } from './bounded-step.js';

/**
 * After this many steps that ran out of time the rest are begun at once and waited for together: a plugin with a thousand
 * disposers that hang must not hold up a stop for a thousand deadlines.
 */
const MAX_SLOW_STEPS = 5;

/** What went wrong in one step. */
export type DisposalProblem =
  | { readonly what: string; readonly kind: 'failed'; readonly error: unknown }
  | { readonly what: string; readonly kind: 'timeout' };

/** One thing to undo. */
export interface DisposalEntry {
  /** It was undone otherwise: forget it. */
  readonly forget: () => void;
}

/** How {@link DisposalStack.disposeAll} runs. */
export interface DisposalOptions {
  readonly clock: Clock;
  /** Milliseconds that one step may take. */
  readonly timeoutMs: number;
  /** Runs each step, in the scope of the plugin. */
  readonly run: <T>(fn: () => T) => T;
}

interface StackEntry {
  readonly what: string;
  readonly dispose: () => unknown;
}

/** Things to undo, in the order in which they were done. */
export class DisposalStack {
  private entries = new Set<StackEntry>();

  /** Things not undone yet. */
  get size(): number {
    return this.entries.size;
  }

  /** Adds a thing to undo. `what` names it in problems. */
  push(what: string, dispose: () => unknown): DisposalEntry {
    const entry = { what, dispose };
    this.entries.add(entry);
    return { forget: () => void this.entries.delete(entry) };
  }

  /** Undoes everything, latest first, also what is added meanwhile. Never rejects. */
  async disposeAll(options: DisposalOptions): Promise<readonly DisposalProblem[]> {
    const problems: DisposalProblem[] = [];
    const unwaited: Promise<void>[] = [];
    let slow = 0;
    while (this.entries.size > 0) {
      for (const entry of [...this.entries].reverse()) {
        // An earlier step may have undone this one already.
        if (!this.entries.delete(entry)) continue;
        const step = this.undo(entry, options).then((problem) => {
          if (problem === undefined) return;
          problems.push(problem);
          if (problem.kind === 'timeout') slow += 1;
        });
        if (slow < MAX_SLOW_STEPS) await step;
        else unwaited.push(step);
      }
    }
    await Promise.all(unwaited);
    return problems;
  }

  private async undo(entry: StackEntry, options: DisposalOptions): Promise<DisposalProblem | undefined> {
    const { clock, timeoutMs, run } = options;
    const outcome = await runBounded(() => run(entry.dispose), { clock, timeoutMs });
    if (outcome.kind === 'failed') return { what: entry.what, kind: 'failed', error: outcome.error };
    return outcome.kind === 'timeout' ? { what: entry.what, kind: 'timeout' } : undefined;
  }
}
