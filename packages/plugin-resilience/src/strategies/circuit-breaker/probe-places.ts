// The places for the probes of one half-open breaker. A probe holds its place until it has left or was given up; until
// the breaker is isolated or reset by hand; or, when somebody else needs the place, for `maxProbeMs` at most, so that
// probes that hang do not keep a breaker half-open for ever. Nothing here sets a timer: what holds a place for too long
// is found by the next call that asks for one.

/** A call that was let into a half-open breaker. It is what the breaker keeps of that call. */
export interface Probe {
  /** That of the breaker when it was let in. */
  readonly generation: number;
  /** When it was let in, monotonic ms. */
  readonly startedAt: number;
  /** Whether it holds a place still. */
  holdsPlace: boolean;
}

/** The places of one breaker. Invariant: every probe in `holders` holds its place, and no other does. */
export class ProbePlaces {
  /** Those that hold a place, in the order in which they were let in. Never more than the breaker lets in. */
  private holders: Probe[] = [];

  /** Places that are held. */
  get taken(): number {
    return this.holders.length;
  }

  /** Gives a place to a new probe. */
  take(generation: number, now: number): Probe {
    const probe: Probe = { generation, startedAt: now, holdsPlace: true };
    this.holders.push(probe);
    return probe;
  }

  /** The probe has left; it may have lost its place before. */
  release(probe: Probe): void {
    if (!probe.holdsPlace) return;
    probe.holdsPlace = false;
    this.holders.splice(this.holders.indexOf(probe), 1);
  }

  /** Takes the places of probes that have held them for `maxProbeMs`. @returns how many. */
  takeBack(maxProbeMs: number, now: number): number {
    let overdue = 0;
    for (const probe of this.holders) {
      if (now - probe.startedAt < maxProbeMs) break;
      probe.holdsPlace = false;
      overdue++;
    }
    if (overdue > 0) this.holders.splice(0, overdue);
    return overdue;
  }

  /** Frees all places. */
  clear(): void {
    for (const probe of this.holders) probe.holdsPlace = false;
    this.holders = [];
  }
}
