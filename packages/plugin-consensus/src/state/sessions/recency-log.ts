// The order in which things were used, oldest first. A use moves a thing to the end and leaves an empty slot behind; the
// slots are swept when there are more empty ones than others. So every step takes constant time on average, and the
// order as it is now can be kept by copying one array of references, however many things there are.

/** Slots that may be empty before they are swept, whatever else there is. */
const SLACK = 1_024;

/** Something that a {@link RecencyLog} keeps in order. The slot is the log's own. */
export interface Recent {
  slot: number;
}

/** Things from the least to the most recently used. */
export class RecencyLog<T extends Recent> {
  /** `items[item.slot] === item` for each thing; the other slots are undefined. Nothing lies before `head`. */
  private items: (T | undefined)[] = [];
  private head = 0;
  private count = 0;

  /** The least recently used; undefined when there is none. */
  get oldest(): T | undefined {
    while (this.head < this.items.length && this.items[this.head] === undefined) this.head++;
    return this.items[this.head];
  }

  /** Adds what is not there, as the most recently used. */
  add(item: T): void {
    item.slot = this.items.length;
    this.items.push(item);
    this.count++;
  }

  /** Makes what is there the most recently used. */
  touch(item: T): void {
    if (item.slot === this.items.length - 1) return;
    this.replace(item, item);
  }

  /** Puts a thing in another one's place, as the most recently used. */
  replace(old: T, item: T): void {
    this.items[old.slot] = undefined;
    item.slot = this.items.length;
    this.items.push(item);
    this.sweep();
  }

  /** Takes out what is there. */
  remove(item: T): void {
    this.items[item.slot] = undefined;
    this.count--;
    this.sweep();
  }

  /** What is there now, in order, among empty slots. Stays as it is. */
  view(): readonly (T | undefined)[] {
    return this.items.slice(this.head);
  }

  private sweep(): void {
    if (this.items.length <= 2 * this.count + SLACK) return;
    const kept: (T | undefined)[] = [];
    for (let at = this.head; at < this.items.length; at++) {
      const item = this.items[at];
      if (item === undefined) continue;
      item.slot = kept.length;
      kept.push(item);
    }
    this.items = kept;
    this.head = 0;
  }
}
