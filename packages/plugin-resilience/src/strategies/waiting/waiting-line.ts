// The calls that wait for their turn at one layer, and what all such lines of one strategy have in common. Whoever has
// the higher priority is first; within a priority, whoever came first. A waiter leaves from anywhere in the line in
// O(log n), so that a call that is cancelled frees its place at once.
//
// Priority is strict: a flood of calls of high priority keeps those of low priority waiting for as long as it lasts. That
// is what the callers asked for, and it is not hidden: the room knows the one who has waited longest over all keys, and
// the strategies show for how long (`oldestWaitMs`), which in a line without starvation is about the time of one turn.

import type { Call } from '../../engine/call.js';
import type { Deadline } from '../../engine/deadline-queue.js';

/** Waiters of one strategy over all its keys. Each holds a call with its closures, about 1 kB; more are turned away. */
export const MAX_WAITING_PER_STRATEGY = 100_000;

/** A call that waits. */
export interface Waiter {
  readonly call: Call;
  /** The layer's place in the row of the call. */
  readonly at: number;
  readonly priority: number;
  /** Place in the order of arrival. */
  readonly order: number;
  /** Time at which it began to wait. */
  readonly since: number;
  /** Until when it waits, if that has a bound. */
  deadline: Deadline | undefined;
  /** Place in its line's heap; -1 when it does not wait any more. */
  index: number;
  older: Waiter | undefined;
  newer: Waiter | undefined;
}

/** All waiters of a strategy in the order of their arrival: a doubly linked list, so that the oldest is known in O(1). */
export class WaitingRoom {
  /** Waiters now. */
  size = 0;
  /** The one who has waited longest over all keys. */
  oldest: Waiter | undefined;
  private newest: Waiter | undefined;
  private arrivals = 0;

  /** Milliseconds that the longest wait has lasted now; 0 when nobody waits. */
  oldestWaitMs(now: number): number {
    return this.oldest === undefined ? 0 : now - this.oldest.since;
  }

  get full(): boolean {
    return this.size >= MAX_WAITING_PER_STRATEGY;
  }

  /** A waiter that has just come. */
  add(call: Call, at: number, now: number): Waiter {
    // Not a number is no priority.
    const priority = Number.isNaN(call.priority) ? 0 : call.priority;
    const order = this.arrivals++;
    const older = this.newest;
    const waiter: Waiter = {
      call,
      at,
      priority,
      order,
      since: now,
      deadline: undefined,
      index: -1,
      older,
      newer: undefined,
    };
    if (older === undefined) this.oldest = waiter;
    else older.newer = waiter;
    this.newest = waiter;
    this.size++;
    return waiter;
  }

  delete(waiter: Waiter): void {
    const { older, newer } = waiter;
    if (older === undefined) this.oldest = newer;
    else older.newer = newer;
    if (newer === undefined) this.newest = older;
    else newer.older = older;
    waiter.older = waiter.newer = undefined;
    this.size--;
  }
}

/** The line before one layer: a binary heap, in which each waiter knows its place. */
export class WaitingLine {
  private readonly heap: Waiter[] = [];

  constructor(private readonly room: WaitingRoom) {}

  get size(): number {
    return this.heap.length;
  }

  /** Puts a call at its place in the line. The caller has seen that there is room. */
  push(call: Call, at: number, now: number): Waiter {
    const waiter = this.room.add(call, at, now);
    waiter.index = this.heap.push(waiter) - 1;
    this.up(waiter);
    return waiter;
  }

  /** Takes out the one whose turn it is. */
  shift(): Waiter | undefined {
    const first = this.heap[0];
    if (first === undefined) return undefined;
    this.remove(first);
    return first;
  }

  /** Takes out a waiter wherever it is. @returns whether it was waiting. */
  remove(waiter: Waiter): boolean {
    const { index } = waiter;
    if (index === -1) return false;
    waiter.index = -1;
    this.room.delete(waiter);
    const last = this.heap.pop() as Waiter;
    if (last !== waiter) {
      this.heap[index] = last;
      last.index = index;
      this.up(last);
      this.down(last);
    }
    return true;
  }

  private up(waiter: Waiter): void {
    const { heap } = this;
    while (waiter.index > 0) {
      const parent = heap[(waiter.index - 1) >> 1] as Waiter;
      if (isBefore(parent, waiter)) return;
      swap(heap, parent, waiter);
    }
  }

  private down(waiter: Waiter): void {
    const { heap } = this;
    for (;;) {
      const left = heap[2 * waiter.index + 1];
      if (left === undefined) return;
      const right = heap[2 * waiter.index + 2];
      const child = right !== undefined && isBefore(right, left) ? right : left;
      if (isBefore(waiter, child)) return;
      swap(heap, child, waiter);
    }
  }
}

function isBefore(one: Waiter, other: Waiter): boolean {
  return one.priority === other.priority ? one.order < other.order : one.priority > other.priority;
}

/** Exchanges a waiter and its parent in the heap. */
function swap(heap: Waiter[], one: Waiter, other: Waiter): void {
  const { index } = one;
  one.index = other.index;
  other.index = index;
  heap[one.index] = one;
  heap[index] = other;
}
