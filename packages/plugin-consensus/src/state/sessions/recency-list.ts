// The order in which things were used, oldest first, with each step in constant time. The links lie in the things
// themselves: a use allocates nothing.

/** Something that a {@link RecencyList} keeps in order. The links are the list's own. */
export interface Recent<T> {
  older: T | undefined;
  newer: T | undefined;
}

/** A doubly linked list from the least to the most recently used. */
export class RecencyList<T extends Recent<T>> {
  private first: T | undefined;
  private last: T | undefined;

  /** The least recently used; undefined when the list is empty. */
  get oldest(): T | undefined {
    return this.first;
  }

  /** Adds what is not in the list, as the most recently used. */
  add(item: T): void {
    item.older = this.last;
    item.newer = undefined;
    if (this.last === undefined) this.first = item;
    else this.last.newer = item;
    this.last = item;
  }

  /** Makes what is in the list the most recently used. */
  touch(item: T): void {
    if (item === this.last) return;
    this.remove(item);
    this.add(item);
  }

  /** Takes out what is in the list. */
  remove(item: T): void {
    if (item.older === undefined) this.first = item.newer;
    else item.older.newer = item.newer;
    if (item.newer === undefined) this.last = item.older;
    else item.newer.older = item.older;
    item.older = undefined;
    item.newer = undefined;
  }

  /** From the least to the most recently used. */
  *[Symbol.iterator](): Generator<T> {
    for (let item = this.first; item !== undefined; item = item.newer) yield item;
  }
}
