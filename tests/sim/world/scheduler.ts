// The time of a simulation: one queue of events, each at its moment, those of one moment in the order in which they were
// set. After each event everything that follows from it without time passing (promises, and nothing else) is let run, by
// giving each event a macrotask of its own.

import type { TimerHandle } from '@datawarehouse/sdk';
import type { Trace } from './trace.js';

/** Macrotasks that are set up at once: the event loop goes round once for each. */
const BATCH = 256;

/** What events are called that a clock brings. */
const TIMERS: ReadonlySet<string> = new Set(['timer', 'interval']);

/** Whoever events belong to. Those of one that has ended do not happen; those of one that is paused come later. */
export interface Owner {
  readonly name: string;
  alive: boolean;
  pausedUntil: number;
}

/** What is to happen, and the handle by which it is called off. */
class SimEvent implements TimerHandle {
  cancelled = false;

  constructor(
    public at: number,
    readonly order: number,
    readonly owner: Owner,
    readonly what: string,
    readonly run: () => void,
  ) {}

  cancel(): void {
    this.cancelled = true;
  }
}

/** The queue of what is to happen. */
export class Scheduler {
  /** Simulated milliseconds since the beginning. */
  now = 0;
  /** Events that have happened. */
  events = 0;
  private readonly heap: SimEvent[] = [];
  private order = 0;
  private failure: { readonly thrown: unknown } | undefined;

  /** @param afterEvent Called when an event, and all that follows from it at once, has happened. */
  constructor(
    private readonly trace: Trace,
    private readonly afterEvent: (owner: Owner) => void,
  ) {}

  /** Has `run` called `delayMs` from now. `what` names it in the trace. */
  schedule(owner: Owner, delayMs: number, what: string, run: () => void): TimerHandle {
    const event = new SimEvent(this.now + Math.max(0, delayMs), this.order++, owner, what, run);
    this.push(event);
    return event;
  }

  /** Resolves after `delayMs`, unless the owner ends first. */
  sleep(owner: Owner, delayMs: number, what: string): Promise<void> {
    return new Promise((resolve) => {
      this.schedule(owner, delayMs, what, resolve);
    });
  }

  /** The owner's clock leaps: its timers come so much sooner, those that are due by then at once. */
  hasten(owner: Owner, byMs: number): void {
    for (const event of this.heap) {
      if (event.owner !== owner || !TIMERS.has(event.what)) continue;
      event.at = Math.max(this.now, event.at - byMs);
    }
    // In order, an array is a heap.
    this.heap.sort((a, b) => a.at - b.at || a.order - b.order);
  }

  /** Ends the run: something was found that must never be. The first failure counts. */
  fail(thrown: unknown): void {
    this.failure ??= { thrown };
  }

  /** Lets time pass until `done` says so after an event, or nothing is left. @throws what {@link fail} was given. */
  run(done: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      let last: Owner | undefined;
      let ended = false;
      const settle = (): void => {
        ended = true;
        if (this.failure === undefined) resolve();
        else reject(this.failure.thrown);
      };
      const step = (): void => {
        if (ended) return;
        try {
          if (last !== undefined) this.afterEvent(last);
          last = undefined;
          if (this.failure !== undefined || done()) return settle();
          last = this.next();
          if (last === undefined) settle();
        } catch (thrown) {
          this.fail(thrown);
          settle();
        }
      };
      const round = (): void => {
        for (let n = 0; n < BATCH; n++) setImmediate(step);
        setImmediate(() => {
          if (!ended) round();
        });
      };
      round();
    });
  }

  /** Does what comes next. @returns whose it was; undefined when nothing is left. */
  private next(): Owner | undefined {
    for (let event = this.pop(); event !== undefined; event = this.pop()) {
      const { owner } = event;
      if (event.cancelled || !owner.alive) continue;
      if (owner.pausedUntil > event.at) {
        event.at = owner.pausedUntil;
        this.push(event);
        continue;
      }
      this.now = event.at;
      this.events++;
      this.trace.add(event.at, owner.name, event.what);
      event.run();
      return owner;
    }
    return undefined;
  }

  private push(event: SimEvent): void {
    const { heap } = this;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const up = (at - 1) >> 1;
      const parent = heap[up] as SimEvent;
      if (!isBefore(event, parent)) break;
      heap[at] = parent;
      at = up;
    }
    heap[at] = event;
  }

  private pop(): SimEvent | undefined {
    const { heap } = this;
    const top = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1] as SimEvent, heap[child] as SimEvent)) child++;
      const least = heap[child] as SimEvent;
      if (!isBefore(least, last)) break;
      heap[at] = least;
      at = child;
    }
    heap[at] = last;
    return top;
  }
}

function isBefore(a: SimEvent, b: SimEvent): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
