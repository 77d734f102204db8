// A hundred thousand steps of one breaker beside a model that remembers every call in lists, its options changing all
// the while.

import { expect, it } from 'vitest';
import type { TestCall } from './breaker.test.kit.js';
import { testBreaker } from './breaker.test.kit.js';
import type { ConsecutiveWindowOptions, CountWindowOptions } from './circuit-breaker-options.js';

const STEPS = 100_000;

type Window = ConsecutiveWindowOptions | CountWindowOptions;

interface Options {
  readonly window: Window;
  readonly breakMs: number;
  readonly halfOpenProbes: number;
  readonly successesToClose: number;
  readonly maxProbeMs: number;
}

/** Numbers from a seed: a run that fails can be run again. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

class Model {
  state: 'closed' | 'open' | 'half-open' | 'isolated' = 'closed';
  until = 0;
  private age = 0;
  private successes = 0;
  /** Outcomes of the closed state that are remembered, oldest first; true: failed. */
  private failed: boolean[] = [];
  /** The window that they were remembered for. */
  private window: Window;
  readonly inside = new Map<
    TestCall,
    { readonly age: number; readonly probe: boolean; readonly since: number; holdsPlace: boolean }
  >();

  constructor(public options: Options) {
    this.window = options.window;
  }

  get probes(): number {
    return [...this.inside.values()].filter(({ holdsPlace }) => holdsPlace).length;
  }

  admits(now: number): boolean {
    if (this.state === 'open' && now >= this.until) this.become('half-open');
    const { halfOpenProbes, maxProbeMs } = this.options;
    // Also a breaker that is open looks.
    if (this.state !== 'closed' && maxProbeMs > 0 && this.probes >= halfOpenProbes) {
      for (const call of this.inside.values()) if (now - call.since >= maxProbeMs) call.holdsPlace = false;
    }
    return this.state === 'closed' || (this.state === 'half-open' && this.probes < halfOpenProbes);
  }

  entered(call: TestCall, now: number): void {
    const probe = this.state === 'half-open';
    this.inside.set(call, { age: this.age, probe, since: now, holdsPlace: probe });
  }

  byHand(state: 'closed' | 'isolated'): void {
    for (const call of this.inside.values()) call.holdsPlace = false;
    if (state === 'closed' || this.state !== state) this.become(state);
  }

  ended(call: TestCall, how: 'succeed' | 'fail' | 'cancel', now: number): void {
    const ticket = this.inside.get(call);
    this.inside.delete(call);
    if (how === 'cancel' || ticket?.age !== this.age) return;
    if (!ticket.probe) this.sample(how === 'fail', now);
    else if (how === 'fail') this.open(now);
    else if (++this.successes >= this.options.successesToClose) this.become('closed');
  }

  private sample(failed: boolean, now: number): void {
    const { window } = this.options;
    if (window !== this.window) {
      this.window = window;
      if (window.kind === 'consecutive') this.keepRow();
    }
    this.failed.push(failed);
    if (window.kind === 'consecutive') {
      if (!failed) this.failed = [];
      if (this.failed.length >= window.failures) this.open(now);
      return;
    }
    this.failed = this.failed.slice(-window.size);
    const { length } = this.failed;
    const bad = this.failed.filter(Boolean).length;
    const enough = length >= Math.min(window.minimumThroughput, window.size);
    if (failed && enough && bad >= window.failureRate * length) this.open(now);
  }

  private keepRow(): void {
    this.failed = this.failed.slice(this.failed.lastIndexOf(false) + 1);
  }

  open(now: number): void {
    this.become('open');
    this.until = now + this.options.breakMs;
  }

  become(state: Model['state']): void {
    this.state = state;
    this.age++;
    this.successes = 0;
    if (state === 'closed') {
      this.failed = [];
      this.window = this.options.window;
    }
  }
}

it(`does in ${STEPS} steps what a model does that remembers everything`, () => {
  const random = randomFrom(20_260_101);
  const options = (): Options => ({
    window:
      random(2) === 0
        ? { kind: 'consecutive', failures: 1 + random(6) }
        : {
            kind: 'count',
            size: 1 + random(20),
            failureRate: (1 + random(4)) / 4,
            minimumThroughput: 1 + random(10),
          },
    breakMs: 1 + random(200),
    halfOpenProbes: 1 + random(4),
    successesToClose: 1 + random(4),
    maxProbeMs: random(3) * 200,
  });
  const first = options();
  const breaker = testBreaker(first);
  const { clock, layer } = breaker;
  const model = new Model(first);
  const seen = { closed: 0, open: 0, 'half-open': 0, isolated: 0 };
  for (let step = 0; step < STEPS; step++) {
    const now = clock.now();
    const die = random(1_000);
    if (die < 400) {
      const admitted = model.admits(now);
      const call = breaker.begin();
      if (call.admitted !== admitted) throw new Error(`step ${step}: it was admitted: ${call.admitted}`);
      if (admitted) model.entered(call, now);
    } else if (die < 900 || model.inside.size > 12) {
      const calls = [...model.inside.keys()];
      const call = calls[random(calls.length)];
      const how = (['succeed', 'succeed', 'succeed', 'fail', 'fail', 'cancel'] as const)[random(6)] ?? 'fail';
      if (call !== undefined) {
        model.ended(call, how, now);
        call[how]();
      }
    } else if (die < 985) {
      clock.advance(random(60));
    } else if (die < 995) {
      model.options = options();
      breaker.configure(model.options);
    } else if (die < 997) {
      layer.isolate('by hand');
      model.byHand('isolated');
    } else {
      layer.reset('by hand');
      model.byHand('closed');
    }
    const { state, probes, inside, remainingMs } = layer.view(clock.now());
    const over = model.state === 'open' && clock.now() >= model.until;
    const meant = over ? 'half-open' : model.state;
    if (state !== meant || probes !== model.probes || inside !== model.inside.size) {
      throw new Error(
        `step ${step}: ${state} with ${probes} probes instead of ${meant} with ${model.probes}`,
      );
    }
    if (state === 'open' && remainingMs !== model.until - clock.now())
      throw new Error(`step ${step}: ${remainingMs} ms are left instead of ${model.until - clock.now()}`);
    seen[state]++;
  }
  // It has been everywhere.
  expect(Math.min(...Object.values(seen))).toBeGreaterThan(1_000);
});
