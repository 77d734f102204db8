import { describe, expect, it } from 'vitest';
import type { SampleKind } from './latency-window.js';
import type { LimitBounds } from './learned-limit.js';
import { LearnedLimit } from './learned-limit.js';

/** A server with so many workers and a queue before them, and callers who send as much as the limit allows. */
class SimulatedServer {
  now = 0;
  workers = 20;
  serviceMs = 40;
  /** Callers at most. */
  demand = 10_000;
  /** Callers give up after this. */
  patienceMs = Number.POSITIVE_INFINITY;
  /** What becomes of calls. */
  kind: SampleKind = 'succeeded';
  inside = 0;
  readonly bounds: LimitBounds;
  readonly limit: LearnedLimit;
  /** When each worker is free. */
  private free: number[] = Array.from({ length: 20 }, () => 0);
  private ends: { readonly at: number; readonly startedAt: number; readonly kind: SampleKind }[] = [];
  private seed = 1;

  constructor(initial: number, bounds: Partial<LimitBounds> = {}) {
    this.bounds = { min: 2, max: 512, targetLatencyMs: 0, dryRun: false, ...bounds };
    this.limit = new LearnedLimit(initial, 0);
  }

  /** Lets so much time pass. */
  run(ms: number, each: () => void = () => {}): void {
    const end = this.now + ms;
    this.fill();
    for (;;) {
      const next = this.ends[0];
      if (next === undefined || next.at > end) break;
      this.ends.shift();
      this.now = next.at;
      this.inside--;
      this.limit.ended(next.kind, next.startedAt, this.now, this.inside, this.bounds);
      this.fill();
      each();
    }
    this.now = end;
  }

  get current(): number {
    return this.limit.learned(this.bounds);
  }

  private fill(): void {
    while (this.inside < Math.min(this.demand, this.limit.current(this.bounds))) this.call();
  }

  private call(): void {
    this.inside++;
    this.limit.entered(this.inside);
    this.free.length = Math.min(this.free.length, this.workers);
    while (this.free.length < this.workers) this.free.push(this.now);
    const worker = this.free.indexOf(Math.min(...this.free));
    const begins = Math.max(this.now, this.free[worker] as number);
    const done = begins + this.serviceMs * (0.5 + this.random());
    this.free[worker] = done;
    const patient = done - this.now <= this.patienceMs;
    const at = patient ? done : this.now + this.patienceMs;
    const end = { at, startedAt: this.now, kind: patient ? this.kind : ('abandoned' as const) };
    const place = this.ends.findLastIndex((other) => other.at <= at) + 1;
    this.ends.splice(place, 0, end);
  }

  /** The same numbers in each run. */
  private random(): number {
    this.seed = (Math.imul(this.seed, 1_664_525) + 1_013_904_223) >>> 0;
    return this.seed / 2 ** 32;
  }
}

describe('a limit learned from latency without a target', () => {
  it.each([
    ['below', 2],
    ['at', 20],
    ['far above', 400],
  ])('finds the capacity of a server from %s it', (_where, initial) => {
    const server = new SimulatedServer(initial);
    server.run(90_000);
    expect(server.current).toBeGreaterThanOrEqual(20);
    expect(server.current).toBeLessThanOrEqual(45);
  });

  it('does not drift away under load that lasts', () => {
    const server = new SimulatedServer(20);
    server.run(60_000);
    let highest = 0;
    server.run(300_000, () => (highest = Math.max(highest, server.current)));
    expect(highest).toBeLessThanOrEqual(48);
    expect(server.current).toBeGreaterThanOrEqual(20);
  });

  it('falls when the server loses most of its workers, and comes back with them', () => {
    const server = new SimulatedServer(20);
    server.run(60_000);
    server.workers = 4;
    server.run(30_000);
    expect(server.current).toBeLessThanOrEqual(16);
    server.workers = 20;
    server.run(60_000);
    expect(server.current).toBeGreaterThanOrEqual(20);
  });

  it('learns that each call takes longer now, and less again later', () => {
    const server = new SimulatedServer(20);
    server.run(60_000);
    server.serviceMs = 400;
    // Twenty workers still take twenty calls, each for longer.
    server.run(120_000);
    expect(server.current).toBeGreaterThanOrEqual(20);
    expect(server.current).toBeLessThanOrEqual(45);
    server.serviceMs = 40;
    server.run(120_000);
    expect(server.current).toBeGreaterThanOrEqual(20);
    expect(server.current).toBeLessThanOrEqual(45);
  });

  it('does not take calls that all time out after the same time for steady ones', () => {
    const server = new SimulatedServer(20);
    server.run(60_000);
    server.serviceMs = 10_000;
    server.patienceMs = 500;
    server.run(60_000);
    expect(server.current).toBe(2);
  });

  it('does not grow while most calls fail, however fast', () => {
    const server = new SimulatedServer(20);
    server.run(30_000);
    const before = server.current;
    server.serviceMs = 4;
    server.kind = 'failed';
    server.run(30_000);
    expect(server.current).toBeLessThanOrEqual(before);
    // And what it believes about latency without load has not been made worse.
    server.serviceMs = 40;
    server.kind = 'succeeded';
    server.run(30_000);
    expect(server.current).toBeGreaterThanOrEqual(20);
  });

  it('grows only while it is in use', () => {
    const server = new SimulatedServer(20);
    server.workers = 100;
    server.demand = 8;
    server.run(60_000);
    expect(server.current).toBe(20);
    server.demand = 15;
    server.run(60_000);
    expect(server.current).toBeGreaterThanOrEqual(25);
    expect(server.current).toBeLessThanOrEqual(31);
  });

  it('stays within its bounds', () => {
    const server = new SimulatedServer(20, { min: 5, max: 30 });
    server.workers = 100;
    server.run(60_000);
    expect(server.current).toBe(30);
    server.serviceMs = 2_000;
    server.patienceMs = 1_000;
    server.run(60_000);
    expect(server.current).toBe(5);
  });
});

describe('a limit learned from latency with a target', () => {
  it('goes as high as the target allows, and comes back after a slowdown', () => {
    const server = new SimulatedServer(2, { targetLatencyMs: 80 });
    server.run(60_000);
    // Twice the latency without load is a queue as long as the server is wide.
    expect(server.current).toBeGreaterThanOrEqual(32);
    expect(server.current).toBeLessThanOrEqual(45);
    server.workers = 4;
    server.run(30_000);
    expect(server.current).toBeLessThanOrEqual(10);
    server.workers = 20;
    server.run(30_000);
    expect(server.current).toBeGreaterThanOrEqual(32);
  });

  it('counts those that were given up', () => {
    const server = new SimulatedServer(20, { targetLatencyMs: 100 });
    server.serviceMs = 10_000;
    server.patienceMs = 150;
    server.run(30_000);
    expect(server.current).toBe(2);
  });
});
