// Deadlines of calls, cheap enough to give every call one. Deadlines of one duration come due in the order they were set,
// so a list holds them and one timer of the clock stands for its head. The timer is left alone when deadlines are met:
// it fires at most once a duration in vain, and then looks who is the head by now.

import type { Clock, TimerHandle } from '@datawarehouse/sdk';

/** Durations with a list of their own, for one clock. Deadlines of further durations get a timer each. */
const MAX_QUEUES = 256;

/**
 * Deadlines that pass in one turn of the event loop. When more are due (the loop stood still), others get a turn before
 * the rest: giving a call up costs some microseconds.
 */
const MAX_PASSED_AT_ONCE = 512;

/**
 * What sums of fractions are off by, and more. Without it a timer that fires on the dot could be early by less than any
 * time that can be slept, and be set again and again at the same moment.
 */
const ROUNDING_MS = 1e-6;

/** Something that happens unless it is cleared in time. Extended by what it happens to, so that it is one object. */
export abstract class Deadline {
  /** When it passes, monotonic ms. Means something while it is set. */
  due = 0;
  /** Where it waits; undefined when it is not set. For the queue alone, as are the links. */
  queue: DeadlineQueue | undefined = undefined;
  earlier: Deadline | undefined = undefined;
  later: Deadline | undefined = undefined;

  /** It has passed, and is not set any more. May set it again. What it throws comes out of the clock's timer. */
  abstract passed(now: number): void;

  /** Whether it is still to come. */
  get set(): boolean {
    return this.queue !== undefined;
  }

  /** Takes it back. Does nothing when it is not set. O(1). */
  clear(): void {
    this.queue?.remove(this);
  }
}

/** The deadlines of one duration, in the order in which they pass. */
class DeadlineQueue {
  private head: Deadline | undefined;
  private tail: Deadline | undefined;
  private timer: TimerHandle | undefined;

  /**
   * @param keepsTimer Whether the timer stays when the last deadline is cleared.
   * @param emptied Told when no deadline and no timer is left.
   */
  constructor(
    private readonly clock: Clock,
    readonly durationMs: number,
    private readonly keepsTimer: boolean,
    private readonly emptied: (queue: DeadlineQueue) => void,
  ) {}

  get empty(): boolean {
    return this.head === undefined;
  }

  /** Appends it. The clock is monotonic, so nothing in the list passes after it. O(1). */
  add(deadline: Deadline): void {
    deadline.due = this.clock.now() + this.durationMs;
    // Before it is in the list: a clock whose owner was stopped refuses, and nobody would take it out.
    this.timer ??= this.clock.setTimeout(this.rung, this.durationMs);
    deadline.queue = this;
    deadline.earlier = this.tail;
    deadline.later = undefined;
    if (this.tail === undefined) this.head = deadline;
    else this.tail.later = deadline;
    this.tail = deadline;
  }

  remove(deadline: Deadline): void {
    this.unlink(deadline);
    if (this.head === undefined && !this.keepsTimer) this.drop();
  }

  /** Stops the timer of a queue in which nothing waits. */
  drop(): void {
    this.timer?.cancel();
    this.timer = undefined;
    this.emptied(this);
  }

  private unlink(deadline: Deadline): void {
    const { earlier, later } = deadline;
    if (earlier === undefined) this.head = later;
    else earlier.later = later;
    if (later === undefined) this.tail = earlier;
    else later.earlier = earlier;
    deadline.queue = undefined;
    deadline.earlier = undefined;
    deadline.later = undefined;
  }

  /** The timer has fired: whatever is due passes. A clock that is early by a fraction is asked for the rest of the time. */
  private readonly rung = (): void => {
    // While deadlines pass the timer counts as set, so that those which are set meanwhile set none.
    const now = this.clock.now();
    try {
      for (let passed = 0; passed < MAX_PASSED_AT_ONCE; passed++) {
        const { head } = this;
        if (head === undefined || head.due > now + ROUNDING_MS) break;
        this.unlink(head);
        head.passed(now);
      }
    } finally {
      this.timer = undefined;
      if (this.head === undefined) this.drop();
      else this.timer = this.clock.setTimeout(this.rung, Math.max(0, this.head.due - this.clock.now()));
    }
  };
}

/** The deadlines on one clock, of whatever durations. */
export class Deadlines {
  /** Queues by duration; those in which nothing waits go when their timer fires or the place is needed. */
  private readonly queues = new Map<number, DeadlineQueue>();
  /** The queue that was used last. */
  private last: DeadlineQueue | undefined;

  constructor(private readonly clock: Clock) {}

  /** Queues that are kept now. */
  get size(): number {
    return this.queues.size;
  }

  /**
   * Sets `deadline` to `durationMs` from now. It must not be set already.
   * @param durationMs Above 0.
   */
  set(deadline: Deadline, durationMs: number): void {
    const last = this.last;
    (last !== undefined && last.durationMs === durationMs ? last : this.queueOf(durationMs)).add(deadline);
  }

  private queueOf(durationMs: number): DeadlineQueue {
    const known = this.queues.get(durationMs);
    if (known !== undefined) return (this.last = known);
    if (this.queues.size >= MAX_QUEUES && !this.dropEmpty()) {
      return new DeadlineQueue(this.clock, durationMs, false, () => {});
    }
    const made = new DeadlineQueue(this.clock, durationMs, true, this.forget);
    this.queues.set(durationMs, made);
    return (this.last = made);
  }

  /** @returns whether there is a place now. */
  private dropEmpty(): boolean {
    for (const queue of this.queues.values()) if (queue.empty) queue.drop();
    return this.queues.size < MAX_QUEUES;
  }

  private readonly forget = (queue: DeadlineQueue): void => {
    if (this.queues.get(queue.durationMs) === queue) this.queues.delete(queue.durationMs);
    if (this.last === queue) this.last = undefined;
  };
}

const ofClocks = new WeakMap<Clock, Deadlines>();

/** The deadlines that all strategies on `clock` share, so that equal durations share a timer. */
export function deadlinesOf(clock: Clock): Deadlines {
  let deadlines = ofClocks.get(clock);
  if (deadlines === undefined) {
    deadlines = new Deadlines(clock);
    ofClocks.set(clock, deadlines);
  }
  return deadlines;
}
