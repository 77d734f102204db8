// One `send` from the sender's side: it settles once, by the answer, a failure, the timeout, the sender's signal, or
// the end of the sender or of the bus.

import type { Clock, TimerHandle } from '../time/index.js';
import type { BusOwner, Endable } from './bus-owner.js';
import type { BusMessage } from './message-bus.js';
import type { IncomingRequest } from './responder.js';

/** A request that waits for its answer. */
export class OutgoingRequest implements IncomingRequest, Endable {
  readonly answer: Promise<unknown>;
  private settled = false;
  private readonly abort = new AbortController();
  private readonly timer: TimerHandle;
  private resolveAnswer: (answer: unknown) => void = () => {};
  private rejectAnswer: (reason: unknown) => void = () => {};

  /** @param timedOut makes the error of a late answer. */
  constructor(
    readonly message: BusMessage,
    private readonly owner: BusOwner,
    clock: Clock,
    timeoutMs: number,
    timedOut: () => unknown,
    private readonly senderSignal: AbortSignal | undefined,
    private readonly onSettled: () => void,
  ) {
    this.answer = new Promise((resolve, reject) => {
      this.resolveAnswer = resolve;
      this.rejectAnswer = reject;
    });
    this.timer = clock.setTimeout(() => this.end(timedOut()), timeoutMs);
    senderSignal?.addEventListener('abort', this.onAbort, { once: true });
    owner.hold(this);
  }

  /** Aborts when the sender waits no more. */
  get signal(): AbortSignal {
    return this.abort.signal;
  }

  /** The sender waits no more. */
  get abandoned(): boolean {
    return this.settled;
  }

  resolve(answer: unknown): void {
    if (this.settle()) this.resolveAnswer(answer);
  }

  reject(reason: unknown): void {
    if (this.settle()) this.rejectAnswer(reason);
  }

  /** The sender gives up: the handler's signal aborts. */
  end(reason: unknown): void {
    if (!this.settle()) return;
    this.rejectAnswer(reason);
    this.abort.abort(reason);
  }

  private readonly onAbort = (): void => this.end(this.senderSignal?.reason);

  private settle(): boolean {
    if (this.settled) return false;
    this.settled = true;
    this.timer.cancel();
    this.senderSignal?.removeEventListener('abort', this.onAbort);
    this.owner.release(this);
    this.onSettled();
    return true;
  }
}
