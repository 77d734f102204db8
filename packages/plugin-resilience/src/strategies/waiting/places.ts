// Places inside of a layer that holds a bounded number of calls, and the line before it. Bulkhead and adaptive limit are
// this with different ideas of the bound. All of it happens in one turn, so a place cannot be given twice.
//
// Between a place that becomes free and the waiter that takes it nobody can slip in: the place is given before any code
// but ours runs, and a call that comes while there are waiters lets those in first that there is room for. Who takes a
// place goes on by `call.goIn`, which the engine runs after the call that has left and not inside of it, so that a
// long line does not deepen the stack.

import type { Clock } from '@datawarehouse/sdk';
import type { Call } from '../../engine/call.js';
import type { WaitingCalls } from './entry-turns.js';
import { EntryTurns } from './entry-turns.js';
import type { Waiter } from './waiting-line.js';
import { WaitingLine, WaitingRoom } from './waiting-line.js';

/** What the places of all keys of one strategy have in common. */
export class PlacesOfAllKeys {
  /** Calls that hold a place, over all keys. */
  inside = 0;
  /** Calls that were let in after they had waited. */
  letInAfterWait = 0;
  readonly room = new WaitingRoom();
  readonly turns: EntryTurns;

  constructor(clock: Clock) {
    this.turns = new EntryTurns(clock);
  }
}

/** What became of a call that came. `full`: there is neither a place nor room to wait. */
export type Arrival = 'inside' | 'waiting' | 'full';

/** The places of one key, and the line before them. A layer is these places, so that a key costs one object. */
export abstract class Places implements WaitingCalls {
  /** Calls that hold a place. May be above the bound after that was lowered: nobody is thrown out. */
  inside = 0;
  /** Made when somebody has to wait for the first time. */
  private line: WaitingLine | undefined;

  constructor(private readonly all: PlacesOfAllKeys) {}

  /** Calls that may be inside now; infinitely many on a dry run, which turns nobody away. */
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
    this.letIn();
    const bound = this.bound();
    // Free places while others wait are theirs, as soon as it is their turn: nobody passes them, nor is anybody turned
    // away because they have not gone in yet.
    const free = Math.max(0, bound - this.inside);
    const { full } = this.all.room;
    if ((free > 0 && this.waiting === 0) || (full && bound === Number.POSITIVE_INFINITY)) {
      this.hold();
      return 'inside';
    }
    if (full || this.waiting >= queue + free) return 'full';
    this.line ??= new WaitingLine(this.all.room);
    call.notes[at] = this.line.push(call, at, now);
    if (this.line.size === 1) this.all.turns.withWaiters.add(this);
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
    if (line.size === 0) this.all.turns.withWaiters.delete(this);
    return true;
  }

  /** Lets waiters in, in order, as far as there is room and it is their turn. */
  letIn(): void {
    const { line } = this;
    if (line === undefined) return;
    while (line.size > 0 && this.inside < this.bound()) {
      if (!this.all.turns.take(this)) return;
      const waiter = line.shift() as Waiter;
      if (line.size === 0) this.all.turns.withWaiters.delete(this);
      // One that is being given up by something further out leaves by itself in a moment.
      if (waiter.call.ended) continue;
      this.hold();
      this.all.letInAfterWait++;
      this.taken(waiter);
      waiter.call.goIn(waiter.at);
    }
  }
}
