// Which keys expire, soonest first: a binary heap in which every key knows its place, so that a change of mind costs
// a logarithm and leaves no rubbish behind.

interface Expiring<K> {
  readonly key: K;
  expiresAt: number;
  place: number;
}

/** Keys with the time at which each expires. */
export class ExpiryHeap<K> {
  private readonly byKey = new Map<K, Expiring<K>>();
  private readonly heap: Expiring<K>[] = [];

  get size(): number {
    return this.heap.length;
  }

  /** When the first key expires; undefined when none does. */
  get next(): number | undefined {
    return this.heap[0]?.expiresAt;
  }

  /** When `key` expires; undefined when it does not. */
  expiresAt(key: K): number | undefined {
    return this.byKey.get(key)?.expiresAt;
  }

  set(key: K, expiresAt: number): void {
    const known = this.byKey.get(key);
    if (known !== undefined) {
      known.expiresAt = expiresAt;
      this.settle(known);
      return;
    }
    const added: Expiring<K> = { key, expiresAt, place: this.heap.length };
    this.byKey.set(key, added);
    this.heap.push(added);
    this.rise(added);
  }

  delete(key: K): void {
    const gone = this.byKey.get(key);
    if (gone === undefined) return;
    this.byKey.delete(key);
    const last = this.heap.pop();
    if (last === undefined || last === gone) return;
    this.put(last, gone.place);
    this.settle(last);
  }

  clear(): void {
    this.byKey.clear();
    this.heap.length = 0;
  }

  /** The key that expires first, if it has expired at `now`. */
  firstExpired(now: number): K | undefined {
    const first = this.heap[0];
    return first !== undefined && first.expiresAt <= now ? first.key : undefined;
  }

  /** How many have expired at `now`. Costs what it counts. */
  countExpired(now: number): number {
    let count = 0;
    const places = [0];
    for (let place = places.pop(); place !== undefined; place = places.pop()) {
      const entry = this.heap[place];
      if (entry === undefined || entry.expiresAt > now) continue;
      count++;
      places.push(2 * place + 1, 2 * place + 2);
    }
    return count;
  }

  private settle(entry: Expiring<K>): void {
    this.rise(entry);
    this.sink(entry);
  }

  private rise(entry: Expiring<K>): void {
    while (entry.place > 0) {
      const parentPlace = (entry.place - 1) >> 1;
      const parent = this.heap[parentPlace];
      if (parent === undefined || parent.expiresAt <= entry.expiresAt) return;
      this.put(parent, entry.place);
      this.put(entry, parentPlace);
    }
  }

  private sink(entry: Expiring<K>): void {
    for (;;) {
      const left = this.heap[2 * entry.place + 1];
      const right = this.heap[2 * entry.place + 2];
      const sooner =
        right !== undefined && left !== undefined && right.expiresAt < left.expiresAt ? right : left;
      if (sooner === undefined || sooner.expiresAt >= entry.expiresAt) return;
      const place = sooner.place;
      this.put(sooner, entry.place);
      this.put(entry, place);
    }
  }

  private put(entry: Expiring<K>, place: number): void {
    this.heap[place] = entry;
    entry.place = place;
  }
}
