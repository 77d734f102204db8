// How many calls of a key may be under way, learned from how long they take. Pure: it is told the time, and what ended.
//
// Against a target it is additive increase and multiplicative decrease. Without one it is a gradient limit as in
// Netflix's concurrency-limits (github.com/Netflix/concurrency-limits, Gradient2Limit): the limit follows the ratio of how
// long calls should take to how long they take, and while that is 1 it gets the square root of itself as room to grow.
// There the latency that calls should have is a long-term mean, which under lasting load becomes that of the overload, and
// the limit grows to its maximum (its issue 137: calls that all time out look steady). Here it is the latency without
// load: learned while the limit is at most half used or at its minimum, and under lasting load by a probe, as BBR probes
// for the round trip time: for a moment half the limit holds, and half of that, until that makes calls no faster.
// Only successes teach it; all calls count against it.
//
// It grows only when it is in use, and never while most calls fail.

import type { SampleKind } from './latency-window.js';
import { LatencyWindow } from './latency-window.js';

/** What a limit has to keep to. */
export interface LimitBounds {
  readonly min: number;
  readonly max: number;
  /** 0: measured against the latency without load. */
  readonly targetLatencyMs: number;
  /** The limit holds nobody back, so there is nothing to be probed by lowering it. */
  readonly dryRun: boolean;
}

/** A step of a limit, for an operator. */
export interface LimitStep {
  readonly previous: number;
  readonly current: number;
  readonly reason: string;
}

/** Times longer than without load that calls may take: queueing that is not worth a lower limit. */
const TOLERANCE = 1.5;
/** A single window lowers the limit by no more than this factor of what it says. */
const MIN_GRADIENT = 0.5;
/** How much of a step is made at once. */
const SMOOTHING = 0.2;
/** Factor of the limit when calls take longer than the target. */
const BACKOFF = 0.9;
/** How much of the difference to a window the latency without load moves. */
const BASELINE_SMOOTHING = 0.1;
/** A probe follows the last measurement without load after so many ms of load. */
const PROBE_EVERY_MS = 30_000;
/** Half as many calls that take this part of the time or more are not slowed down by one another. */
const NOT_FASTER = 0.9;
/** A probe in which too few calls end is given up. */
const PROBE_MOST_MS = 10_000;

/** A probe. While it `drains`, more are inside than it allows, and what ends says nothing. */
interface Probe {
  readonly kind: 'draining' | 'measuring';
  readonly began: number;
  /** What the limit is divided by. */
  readonly divisor: number;
  /** What calls took with twice as many inside. */
  readonly beforeMs: number;
}

/** The limit of one key. */
export class LearnedLimit {
  /** Not a whole number, so that small steps add up. Kept within the bounds at each use. */
  private limit: number;
  /** Latency without load; undefined until a window has said something. */
  baselineMs: number | undefined;
  private probe: Probe | undefined;
  private probeAt = 0;
  private readonly window: LatencyWindow;

  constructor(initial: number, now: number) {
    this.limit = initial;
    this.window = new LatencyWindow(now);
  }

  /** Calls that may be inside now. */
  current(bounds: LimitBounds): number {
    const limit = within(this.limit, bounds);
    return this.probe === undefined ? Math.floor(limit) : probing(limit, this.probe, bounds);
  }

  /** The limit without regard to a probe. */
  learned(bounds: LimitBounds): number {
    return Math.floor(within(this.limit, bounds));
  }

  /** A call has come in; `inside` counts it. */
  entered(inside: number): void {
    if (inside > this.window.peak) this.window.peak = inside;
  }

  /**
   * A call is not inside any more.
   * @param inside Calls that still are.
   * @returns the step that was made, if one was.
   */
  ended(
    kind: SampleKind,
    startedAt: number,
    now: number,
    inside: number,
    bounds: LimitBounds,
  ): LimitStep | undefined {
    const { window, probe } = this;
    if (probe !== undefined && (!mayProbe(bounds) || now - probe.began > PROBE_MOST_MS)) {
      this.endProbe(now, inside);
      return undefined;
    }
    if (probe?.kind === 'draining') {
      if (inside > this.current(bounds)) return undefined;
      this.probe = { ...probe, kind: 'measuring' };
      window.restart(now, inside);
      return undefined;
    }
    // Calls that began under load say nothing about latency without it.
    if (probe !== undefined && startedAt < window.began) return undefined;
    window.add(kind, now - startedAt, this.baselineMs ?? 0);
    if (!window.complete(now)) return undefined;
    if (probe !== undefined) {
      this.measured(probe, now, inside, bounds);
      return undefined;
    }
    const step = this.step(now, bounds);
    window.restart(now, inside);
    return step;
  }

  /** A window is complete. */
  private step(now: number, bounds: LimitBounds): LimitStep {
    const { window } = this;
    const previous = this.learned(bounds);
    const limit = within(this.limit, bounds);
    const unloaded = 2 * window.peak <= limit || previous <= bounds.min;
    this.learnBaseline(unloaded, now);
    const { meanMs } = window;
    const against = bounds.targetLatencyMs > 0 ? bounds.targetLatencyMs : (this.baselineMs ?? meanMs);
    const wanted =
      bounds.targetLatencyMs > 0 ? towards(against, meanMs, limit) : along(against, meanMs, limit);
    const mayGrow = 2 * window.peak >= limit && !window.mostlyFailed;
    this.limit = within(mayGrow ? wanted : Math.min(limit, wanted), bounds);
    if (mayProbe(bounds) && !unloaded && now > this.probeAt && this.baselineMs !== undefined) {
      this.probe = { kind: 'draining', began: now, divisor: 2, beforeMs: meanMs };
    }
    const compared = bounds.targetLatencyMs > 0 ? 'is the target' : 'is usual without load';
    return {
      previous,
      current: this.learned(bounds),
      reason: `calls took ${meanMs.toFixed(1)} ms on average, and ${against.toFixed(1)} ms ${compared}`,
    };
  }

  /** What a window that was no probe says about latency without load. */
  private learnBaseline(unloaded: boolean, now: number): void {
    const { window } = this;
    if (window.mostlyFailed) return;
    const { successMeanMs } = window;
    if (this.baselineMs === undefined) {
      this.baselineMs = successMeanMs;
      // The first calls met a server that had nothing to do: the next window is the one to compare a probe with.
      this.probeAt = unloaded ? now + PROBE_EVERY_MS : now;
      return;
    }
    if (!unloaded && successMeanMs >= this.baselineMs) return;
    this.baselineMs += BASELINE_SMOOTHING * (successMeanMs - this.baselineMs);
    if (unloaded) this.probeAt = now + PROBE_EVERY_MS;
  }

  /** The window of a probe is complete. */
  private measured(probe: Probe, now: number, inside: number, bounds: LimitBounds): void {
    const { window } = this;
    if (window.mostlyFailed) {
      this.endProbe(now, inside);
      return;
    }
    const { successMeanMs } = window;
    this.baselineMs = successMeanMs;
    const lowest = probing(within(this.limit, bounds), probe, bounds) <= bounds.min;
    if (lowest || successMeanMs >= NOT_FASTER * probe.beforeMs) this.endProbe(now, inside);
    else {
      this.probe = { kind: 'draining', began: now, divisor: 2 * probe.divisor, beforeMs: successMeanMs };
    }
  }

  private endProbe(now: number, inside: number): void {
    this.probe = undefined;
    this.probeAt = now + PROBE_EVERY_MS;
    this.window.restart(now, inside);
  }
}

function mayProbe({ targetLatencyMs, dryRun }: LimitBounds): boolean {
  return targetLatencyMs === 0 && !dryRun;
}

/** What a probe leaves of the limit. */
function probing(limit: number, { divisor }: Probe, { min }: LimitBounds): number {
  return Math.max(min, Math.floor(limit / divisor));
}

function within(limit: number, { min, max }: LimitBounds): number {
  return Math.max(min, Math.min(max, limit));
}

/** The next limit by the gradient. There is room to grow only while calls do not take too long. */
function along(baselineMs: number, meanMs: number, limit: number): number {
  const gradient = meanMs > 0 ? (TOLERANCE * baselineMs) / meanMs : 1;
  const wanted = gradient >= 1 ? limit + Math.sqrt(limit) : limit * Math.max(MIN_GRADIENT, gradient);
  return limit * (1 - SMOOTHING) + wanted * SMOOTHING;
}

/** The next limit for a target. */
function towards(targetMs: number, meanMs: number, limit: number): number {
  return meanMs > targetMs ? limit * BACKOFF : limit + 1;
}
