// The one responder of a topic: requests wait in a bounded queue for their turn of the event loop, are answered
// concurrently, and keep their place until the handler has settled, so that a handler that hangs cannot pile up work.

import type { BusCore } from './bus-core.js';
import type { BusOwner, Endable } from './bus-owner.js';
import type { Drainable } from './drain-scheduler.js';
import { busClosed, noHandler, queueFull } from './errors.js';
import type { BusMessage, RequestHandler, Subscription } from './message-bus.js';

/** The slice's time is looked at once in this many requests. */
const CLOCK_MASK = 7;

/** A request as its responder sees it. */
export interface IncomingRequest {
  readonly message: BusMessage;
  readonly signal: AbortSignal;
  /** The sender waits no more: the handler need not run. */
  readonly abandoned: boolean;
  resolve(answer: unknown): void;
  reject(reason: unknown): void;
}

/** Answers the requests on one topic. */
export class Responder implements Subscription, Drainable, Endable {
  private waiting: IncomingRequest[] = [];
  private readonly running = new Set<IncomingRequest>();
  private refusedCount = 0;
  private listed = false;
  private alive = true;

  constructor(
    readonly pattern: string,
    readonly owner: BusOwner,
    private readonly handler: RequestHandler,
    private readonly capacity: number,
    private readonly core: BusCore,
    private readonly onEnded: (responder: Responder) => void,
  ) {}

  get pending(): number {
    return this.waiting.length + this.running.size;
  }

  get dropped(): number {
    return this.refusedCount;
  }

  get hasWork(): boolean {
    return this.waiting.length > 0;
  }

  unsubscribe(): void {
    this.end(noHandler(this.pattern));
  }

  [Symbol.dispose](): void {
    this.unsubscribe();
  }

  /** Ends it: requests that it has not answered reject. */
  end(reason: unknown = busClosed(this.owner.sender)): void {
    if (!this.alive) return;
    this.alive = false;
    this.core.queued -= this.waiting.length;
    const left = [...this.waiting, ...this.running];
    this.waiting = [];
    this.running.clear();
    for (const request of left) request.reject(reason);
    this.onEnded(this);
  }

  /** Takes a request. @throws DwError `bus-queue-full`. */
  offer(request: IncomingRequest): void {
    const full = this.pending >= this.capacity;
    if (full || (this.pending >= this.core.fairShare && this.core.isPressed())) {
      this.refusedCount++;
      this.core.totals.rejected++;
      this.core.topics.peek(this.pattern).rejected++;
      this.core.reporter.rejected(this.pattern, this.owner.sender);
      throw queueFull(this.pattern, this.owner.sender, this.capacity);
    }
    this.waiting.push(request);
    this.core.queued++;
    if (this.listed) return;
    this.listed = true;
    this.core.scheduler.add(this);
  }

  drain(budget: number): number {
    let done = 0;
    while (done < budget) {
      const request = this.waiting.shift();
      if (request === undefined) break;
      this.core.queued--;
      if (!request.abandoned) this.start(request);
      if ((++done & CLOCK_MASK) === 0 && this.core.scheduler.expired()) break;
    }
    this.listed = this.hasWork;
    return Math.max(1, done);
  }

  private start(request: IncomingRequest): void {
    this.running.add(request);
    const run = this.owner.runInContext;
    try {
      if (run === undefined) this.answer(request);
      else run(() => this.answer(request));
    } catch (thrown) {
      this.failed(request, thrown);
    }
  }

  private answer(request: IncomingRequest): void {
    const { handler } = this;
    Promise.resolve(handler(request.message, request.signal)).then(
      (answer) => this.completed(request, answer),
      (thrown: unknown) => this.failed(request, thrown),
    );
  }

  private completed(request: IncomingRequest, answer: unknown): void {
    this.running.delete(request);
    this.core.totals.delivered++;
    this.core.topics.peek(this.pattern).delivered++;
    request.resolve(answer);
  }

  private failed(request: IncomingRequest, thrown: unknown): void {
    this.running.delete(request);
    this.core.totals.failed++;
    this.core.topics.peek(this.pattern).failed++;
    // A sender that still waits hears of it. When it waits no more, the failure would be heard by nobody.
    if (request.abandoned) this.core.reporter.handlerFailed(this.pattern, this.owner.sender, thrown);
    else request.reject(thrown);
  }
}
