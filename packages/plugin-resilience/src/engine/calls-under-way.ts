// The calls that have begun and not ended, of all policies of a node, so that somebody who stops can wait for them, and
// leaves none behind that would wait for ever. Forks are not among them: they end with their call.

import type { Call } from './call.js';

/** Calls under way. Each knows its place, so that coming and going cost a few instructions. */
export class CallsUnderWay {
  private readonly calls: Call[] = [];
  private readonly whenNone = new Set<() => void>();
  private refusing = false;

  get size(): number {
    return this.calls.length;
  }

  /** Whether no call is to begin any more. */
  get closed(): boolean {
    return this.refusing;
  }

  /** No call is to begin any more. Those under way go on. */
  close(): void {
    this.refusing = true;
  }

  /** A call has begun and not ended. On the hot path. */
  add(call: Call): void {
    call.place = this.calls.push(call) - 1;
  }

  /** A call has ended; it may never have been added. On the hot path. */
  delete(call: Call): void {
    const { place } = call;
    if (place < 0) return;
    call.place = -1;
    const last = this.calls.pop() as Call;
    if (last !== call) {
      this.calls[place] = last;
      last.place = place;
    } else if (place === 0 && this.whenNone.size > 0) for (const tell of this.whenNone) tell();
  }

  /** Resolves when no call is under way, or `signal` aborts. */
  async drained(signal: AbortSignal): Promise<void> {
    if (this.calls.length === 0 || signal.aborted) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.whenNone.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      this.whenNone.add(done);
      signal.addEventListener('abort', done);
    });
  }

  /**
   * Gives calls up, the latest first.
   * @param most Give up no more than so many.
   * @returns how many are left.
   */
  giveUp(reason: unknown, most: number): number {
    for (let n = 0; n < most; n++) {
      const call = this.calls.at(-1);
      if (call === undefined) break;
      call.cancel(reason);
      this.delete(call);
    }
    return this.calls.length;
  }
}
