// Lamport stamps, one counter for each breaker: whether a change of another node is news, and which stamp the next one of
// this node has. Pure, and bounded.
//
// Stamps of closed breakers may be forgotten. What is forgotten raises the floor, from which the stamps of this node's
// own changes go on, so that they are later than any that others remember. The floor never judges what others send: a
// busy breaker does not make the news of a quiet one look old.

import type { BreakerId } from './circuit-notice.js';
import { MAX_LAMPORT } from './circuit-notice.js';

/** Stamps that are kept at most: a few MB. */
export const MAX_STAMPS = 10_000;

/** The last change of one breaker that this node knows of. */
export interface Stamp extends BreakerId {
  readonly lamport: number;
  /** The node where it began. */
  readonly node: string;
}

/** The stamps that this node knows. */
export class StampBook {
  /** Own stamps are higher than this: what was forgotten, and what peers had when they connected. */
  private floor = 0;
  private top = 0;
  /** Those that may be forgotten, oldest first. */
  private readonly closed = new Map<string, Stamp>();
  private readonly open = new Map<string, Stamp>();

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

  /** A peer has connected, which may remember stamps as high as this one of breakers that were forgotten here. */
  raise(floor: number): void {
    this.floor = Math.max(this.floor, floor);
    this.top = Math.max(this.top, floor);
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

  /** Remembers another node's change. @returns false when there is no room, all others being of open breakers. */
  accept(id: BreakerId, lamport: number, node: string, isOpen: boolean): boolean {
    this.top = Math.max(this.top, lamport);
    return this.keep({ policy: id.policy, strategy: id.strategy, key: id.key, lamport, node }, isOpen);
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
