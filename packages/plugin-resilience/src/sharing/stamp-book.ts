// Lamport stamps, one counter for each breaker: whether a change of another node is news, and which stamp the next one of
// this node has. Pure, and bounded.
//
// Stamps of closed breakers may be forgotten. What is forgotten raises the floor, from which the stamps of this node's
// own changes go on, so that they are later than any that others remember. The floor never judges what others send: a
// busy breaker does not make the news of a quiet one look old. How far peers push it is bounded: see stamp-allowance.ts.

import type { BreakerId } from './circuit-notice.js';
import { MAX_LAMPORT } from './circuit-notice.js';
import { StampAllowance } from './stamp-allowance.js';

/** Stamps that are kept at most: a few MB. */
export const MAX_STAMPS = 10_000;

/** The last change of one breaker that this node knows of. */
export interface Stamp extends BreakerId {
  readonly lamport: number;
  /** The node where it began. */
  readonly node: string;
}

/** What became of another node's change. */
export type StampVerdict = 'kept' | 'ahead' | 'full';

/** The stamps that this node knows. */
export class StampBook {
  /** Own stamps are higher than this: what was forgotten, and what peers had when they connected. */
  private floor = 0;
  private top = 0;
  /** Those that may be forgotten, oldest first. */
  private readonly closed = new Map<string, Stamp>();
  private readonly open = new Map<string, Stamp>();
  /** What peers may push `top` by. */
  private readonly allowance = new StampAllowance();

  constructor(
    private readonly localNode: string,
    private readonly most: number = MAX_STAMPS,
  ) {}

  get size(): number {
    return this.open.size + this.closed.size;
  }

  /** No stamp that is known is higher. */
  get highest(): number {
    return this.top;
  }

  /**
   * A peer knows of a stamp as high as this one, perhaps of a breaker that was forgotten here: own ones go on after it,
   * or, when it is too far ahead, as near to it as peers may push them now.
   * @param now Monotonic ms.
   * @returns whether it was not too far ahead.
   */
  raise(stamp: number, now: number): boolean {
    const near = this.follow(stamp, now);
    this.floor = Math.max(this.floor, Math.min(stamp, this.top));
    return near;
  }

  /**
   * Stamps a change that began here.
   * @param isOpen Whether the breaker is anything but closed now.
   * @returns the stamp; undefined when there are no higher ones.
   */
  next(id: BreakerId, isOpen: boolean): Stamp | undefined {
    const lamport = Math.max(this.floor, this.find(id)?.lamport ?? 0) + 1;
    if (lamport > MAX_LAMPORT) return undefined;
    this.top = Math.max(this.top, lamport);
    const stamp = { policy: id.policy, strategy: id.strategy, key: id.key, lamport, node: this.localNode };
    // One that there is no room for is as good as forgotten.
    if (!this.keep(stamp, isOpen)) this.floor = Math.max(this.floor, lamport);
    return stamp;
  }

  /** Whether a change that another node tells of is later than what is known here of this breaker. */
  isNews(id: BreakerId, lamport: number, node: string): boolean {
    const known = this.find(id);
    if (known === undefined) return true;
    return lamport > known.lamport || (lamport === known.lamport && node > known.node);
  }

  /**
   * Remembers another node's change.
   * @param now Monotonic ms.
   * @returns why not: it is too far `ahead`, and this node's stamps only came nearer; or there is no room, all others
   * being of `open` breakers.
   */
  accept(id: BreakerId, lamport: number, node: string, isOpen: boolean, now: number): StampVerdict {
    if (!this.follow(lamport, now)) {
      this.floor = Math.max(this.floor, this.top);
      return 'ahead';
    }
    const stamp = { policy: id.policy, strategy: id.strategy, key: id.key, lamport, node };
    return this.keep(stamp, isOpen) ? 'kept' : 'full';
  }

  find(id: BreakerId): Stamp | undefined {
    const name = nameOf(id);
    return this.open.get(name) ?? this.closed.get(name);
  }

  /** The breaker is open, or closed, now: only stamps of closed ones are forgotten. */
  mark(id: BreakerId, isOpen: boolean): void {
    const stamp = this.find(id);
    if (stamp !== undefined) this.keep(stamp, isOpen);
  }

  /** The stamps of breakers that are open by a change of this node. */
  *ownOpen(): Generator<Stamp> {
    for (const stamp of this.open.values()) if (stamp.node === this.localNode) yield stamp;
  }

  /** A peer has told of this stamp. @returns whether it is one that this node goes along with. */
  private follow(stamp: number, now: number): boolean {
    if (stamp > this.top) this.top += this.allowance.take(stamp - this.top, now);
    return stamp <= this.top;
  }

  private keep(stamp: Stamp, isOpen: boolean): boolean {
    const name = nameOf(stamp);
    const known = this.open.delete(name) || this.closed.delete(name);
    if (!known && this.size >= this.most && !this.forgetOne()) return false;
    (isOpen ? this.open : this.closed).set(name, stamp);
    return true;
  }

  private forgetOne(): boolean {
    const oldest = this.closed.entries().next();
    if (oldest.done === true) return false;
    const [name, { lamport }] = oldest.value;
    this.floor = Math.max(this.floor, lamport);
    return this.closed.delete(name);
  }
}

function nameOf({ policy, strategy, key }: BreakerId): string {
  return JSON.stringify([policy, strategy, key]);
}
