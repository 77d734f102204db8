// Runs actions one after another for each key, and those of different keys side by side.

/** Actions in line by key. */
export class KeyedQueue<K> {
  private readonly tails = new Map<K, Promise<unknown>>();
  private count = 0;

  /** Actions that run or wait. */
  get size(): number {
    return this.count;
  }

  /** Runs `action` after all earlier ones of the same key have settled. */
  async run<T>(key: K, action: () => Promise<T>): Promise<T> {
    const before = this.tails.get(key) ?? Promise.resolve();
    const result = before.then(action);
    // The next in line waits for this one, whatever becomes of it; its caller hears of a failure.
    const tail = result.catch(() => undefined);
    this.tails.set(key, tail);
    this.count++;
    try {
      return await result;
    } finally {
      this.count--;
      if (this.tails.get(key) === tail) this.tails.delete(key);
    }
  }

  /** Resolves when all that run or wait now have settled. */
  async settled(): Promise<void> {
    await Promise.all(this.tails.values());
  }
}
