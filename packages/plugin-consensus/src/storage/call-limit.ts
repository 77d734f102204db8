// Lets only so many calls be under way at once; the others wait their turn, first come, first served.

/** A bound on calls at once. */
export class CallLimit {
  #running = 0;
  /** Bounded by those who call: each has a bound of its own on what it begins. */
  readonly #waiting: (() => void)[] = [];

  constructor(private readonly atOnce: number) {}

  /** Makes a call in its turn. @throws what the call throws. */
  async run<T>(call: () => Promise<T>): Promise<T> {
    if (this.#running >= this.atOnce) await new Promise<void>((turn) => void this.#waiting.push(turn));
    else this.#running++;
    try {
      return await call();
    } finally {
      // The place is handed on as it is, so that nobody who comes now gets in between.
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }
}
