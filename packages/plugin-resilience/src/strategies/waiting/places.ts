// Places inside of a layer that holds a bounded number of calls, and the line before it. Bulkhead and adaptive limit are
// this with different ideas of the bound. All of it happens in one turn, so a place cannot be given twice.
//
// Between a place that becomes free and the waiter that takes it nobody can slip in: the place is given before any code
// but ours runs, and a call that comes while there are waiters lets those in first that there is room for. Who takes a
// place goes on by `call.goIn`, which the engine runs after the call that has left and not inside of it, so that a
// long line does not deepen the stack.

import type { Call } from '../../engine/call.js';
import type { Waiter } from './waiting-line.js';
import { WaitingLine, WaitingRoom } from './waiting-line.js';

/** What the places of all keys of one strategy have in common. */
export class PlacesOfAllKeys {
  /** Calls that hold a place, over all keys. */
  inside = 0;
  /** Calls that were let in after they had waited. */
  letInAfterWait = 0;
  readonly room = new WaitingRoom();
  /** Those with waiters, to be looked at when the bound is raised. */
  readonly withWaiters = new Set<Places>();

  private looking = false;

  /**
   * Lets in whom the bounds, which may have been raised, have room for now: when whoever changes them is done, so that no
   * call goes in while other strategies of the policy still have their former options.
   */
  boundsChanged(): void {
    if (this.looking || this.withWaiters.size === 0) return;
    this.looking = true;
    queueMicrotask(() => {
      this.looking = false;
      // A copy: those that are let in may leave at once, and come again.
      const before = [...this.withWaiters];
      for (const places of before) places.letIn();
    });
  }
}

/** What became of a call that came. `full`: there is neither a place nor room to wait. */
export type Arrival = 'inside' | 'waiting' | 'full';

/** The places of one key, and the line before them. A layer is these places, so that a key costs one object. */
export abstract class Places {
  /** Calls that hold a place. May be above the bound after that was lowered: nobody is thrown out. */
  inside = 0;
  /** Made when somebody has to wait for the first time. */
  private line: WaitingLine | undefined;

  constructor(private readonly all: PlacesOfAllKeys) {}

  /** Calls that may be inside now. */
  protected abstract bound(): number;

  /** A waiter has got its place, and goes in next. */
  protected abstract taken(waiter: Waiter): void;

  get waiting(): number {
    return this.line === undefined ? 0 : this.line.size;
  }

  /** What an operator sees of it. */
  view(): Readonly<Record<string, number>> {
    return { inside: this.inside, waiting: this.waiting };
  }

  /** Whether nobody holds a place or waits for one. */
  get empty(): boolean {
    return this.inside === 0 && this.waiting === 0;
  }

  /** A call comes; it may wait if fewer than `queue` do. What it waits as is in its notes. */
  come(call: Call, at: number, queue: number, now: number): Arrival {
    // Only while others are being let in can there be both room and waiters.
    this.letIn();
    if (this.inside < this.bound()) {
      this.hold();
      return 'inside';
    }
    if (this.waiting >= queue || this.all.room.full) return 'full';
    this.line ??= new WaitingLine(this.all.room);
    call.notes[at] = this.line.push(call, at, now);
    if (this.line.size === 1) this.all.withWaiters.add(this);
    return 'waiting';
  }

  /** Takes a place whatever the bound is. */
  hold(): void {
    this.inside++;
    this.all.inside++;
  }

  /** A place becomes free. */
  release(): void {
    this.inside--;
    this.all.inside--;
    this.letIn();
  }

  /** A waiter does not want its place any more. @returns whether it was waiting still. */
  quit(waiter: Waiter): boolean {
    const { line } = this;
    if (line === undefined || !line.remove(waiter)) return false;
    if (line.size === 0) this.all.withWaiters.delete(this);
    return true;
  }

  /** Lets waiters in, in order, as far as there is room. */
  letIn(): void {
    const { line } = this;
    if (line === undefined) return;
    while (line.size > 0 && this.inside < this.bound()) {
      const waiter = line.shift() as Waiter;
      if (line.size === 0) this.all.withWaiters.delete(this);
      // One that is being given up by something further out leaves by itself in a moment.
      if (waiter.call.ended) continue;
      this.hold();
      this.all.letInAfterWait++;
      this.taken(waiter);
      waiter.call.goIn(waiter.at);
    }
  }
}
