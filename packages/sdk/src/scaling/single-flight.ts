// At most one load of a key at a time, shared by all who ask for it meanwhile. A load that a newer change has overtaken
// is marked, so that its result is not put over the newer value.

import type { Clock, TimerHandle } from '../time/index.js';

/** One load under way. */
export interface Flight<V> {
  /** Settles with the load. */
  readonly result: Promise<V | undefined>;
  /** The key was changed while it was being loaded. */
  readonly overtaken: boolean;
}

interface MutableFlight<V> {
  result: Promise<V | undefined>;
  overtaken: boolean;
  readonly abort: AbortController;
}

/** Options of a {@link SingleFlight}. */
export interface SingleFlightOptions<K, V> {
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly load: (key: K, signal: AbortSignal) => Promise<V | undefined>;
  /** Called with what was loaded, unless it was overtaken or late, before any waiter hears of it. */
  readonly onLoaded: (key: K, value: V) => void;
  readonly timedOut: () => Error;
}

/** The loads under way of one cache. */
export class SingleFlight<K, V> {
  private readonly flights = new Map<K, MutableFlight<V>>();
  /** Also those that were overtaken and whose load has not ended. */
  private readonly running = new Set<MutableFlight<V>>();

  constructor(private readonly options: SingleFlightOptions<K, V>) {}

  get size(): number {
    return this.running.size;
  }

  has(key: K): boolean {
    return this.flights.has(key);
  }

  /** Joins the load of a key, or begins it. */
  join(key: K): Flight<V> {
    const current = this.flights.get(key);
    if (current !== undefined) return current;
    const abort = new AbortController();
    const flight: MutableFlight<V> = { result: Promise.resolve(undefined), overtaken: false, abort };
    this.flights.set(key, flight);
    this.running.add(flight);
    flight.result = this.run(key, flight);
    return flight;
  }

  /** The key has a newer value, or none: a load under way must not bring back the old one. Hot path when idle. */
  overtake(key: K): void {
    if (this.flights.size === 0) return;
    const flight = this.flights.get(key);
    if (flight === undefined) return;
    flight.overtaken = true;
    // Who asks from now on must not get what was read before the change.
    this.flights.delete(key);
  }

  /** As {@link overtake} for every key. */
  overtakeAll(): void {
    for (const flight of this.flights.values()) flight.overtaken = true;
    this.flights.clear();
  }

  /** Aborts all loads; those who wait get `reason`. */
  abortAll(reason: Error): void {
    for (const flight of this.running) flight.abort.abort(reason);
  }

  private async run(key: K, flight: MutableFlight<V>): Promise<V | undefined> {
    const { clock, timeoutMs, timedOut, load, onLoaded } = this.options;
    const { signal } = flight.abort;
    let timer: TimerHandle | undefined;
    const ended = new Promise<never>((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
      timer = clock.setTimeout(() => flight.abort.abort(timedOut()), timeoutMs);
    });
    try {
      const value = await Promise.race([load(key, signal), ended]);
      if (value !== undefined && !flight.overtaken) onLoaded(key, value);
      return value;
    } finally {
      timer?.cancel();
      this.running.delete(flight);
      if (this.flights.get(key) === flight) this.flights.delete(key);
    }
  }
}
