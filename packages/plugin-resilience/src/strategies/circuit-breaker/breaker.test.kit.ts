// A breaker on a clock that a test turns, and calls whose actions end when the test says so, at once: an action's promise
// is a thenable without turns of its own, so that a test is a plain sequence of steps.

import { FakeClock } from '@datawarehouse/sdk/testing';
import type { CallPath, Ending } from '../../engine/call.js';
import { Call } from '../../engine/call.js';
import type { ResilienceEvent } from '../../engine/events.js';
import { FURTHER_IN } from '../row.test.kit.js';
import type { CircuitBreakerOptions } from './circuit-breaker-options.js';
import type { CircuitBreakerLayer } from './circuit-breaker-layer.js';
import { CircuitBreakerStrategy } from './circuit-breaker-strategy.js';

/** What breakers are made of where a test says nothing else. */
export const BREAKER_DEFAULTS: CircuitBreakerOptions = {
  type: 'circuit-breaker',
  dryRun: false,
  window: { kind: 'consecutive', failures: 2 },
  breakMs: 1_000,
  halfOpenProbes: 1,
  successesToClose: 1,
  maxProbeMs: 0,
  slowCallMs: 0,
  slowRate: 1,
  handle: {},
  share: true,
};

/** A call under way. */
export interface TestCall {
  /** Whether its action was called. */
  readonly admitted: boolean;
  /** How the call ended; undefined while it has not. */
  readonly ending: Ending | undefined;
  /** What it failed with: the breaker's error for one that was turned away. */
  readonly error: unknown;
  succeed(): void;
  fail(error?: unknown): void;
  cancel(): void;
}

/** One breaker and its surroundings. */
export interface TestBreaker {
  readonly clock: FakeClock;
  readonly strategy: CircuitBreakerStrategy;
  readonly layer: CircuitBreakerLayer;
  readonly events: readonly ResilienceEvent[];
  configure(options: Partial<CircuitBreakerOptions>): void;
  begin(): TestCall;
  /** Calls that succeed or fail at once. */
  succeed(times?: number): void;
  fail(times?: number): void;
  /** `closed` and the like, at the present time. */
  state(): string;
}

/** Makes a breaker. */
export function testBreaker(
  options: Partial<CircuitBreakerOptions> = {},
  clock: FakeClock = new FakeClock({ now: 1_000_000 }),
): TestBreaker {
  const events: ResilienceEvent[] = [];
  let current = { ...BREAKER_DEFAULTS, ...options };
  const strategy = new CircuitBreakerStrategy(current, {
    policy: 'p',
    clock,
    random: () => 0.5,
    report: (event) => void events.push(event),
  });
  const layer = strategy.layer('k');
  const begin = (): TestCall => beginCall(layer, clock);
  return {
    clock,
    strategy,
    layer,
    events,
    begin,
    configure: (changed) => {
      current = { ...current, ...changed };
      strategy.configure(current);
    },
    succeed: (times = 1) => {
      for (let n = 0; n < times; n++) begin().succeed();
    },
    fail: (times = 1) => {
      for (let n = 0; n < times; n++) begin().fail();
    },
    state: () => layer.state(clock.now()),
  };
}

/** Begins a call through a layer alone. */
export function beginCall(layer: CircuitBreakerLayer, clock: FakeClock): TestCall {
  const seen: { admitted: boolean; ending: Ending | undefined; error: unknown } = {
    admitted: false,
    ending: undefined,
    error: undefined,
  };
  const path: CallPath = {
    layers: [layer, FURTHER_IN],
    givesUp: false,
    ended: (call, ending) => {
      seen.ending = ending;
      seen.error = call.failed ? call.value : undefined;
    },
  };
  let resolved: (value: unknown) => void = () => {};
  let rejected: (error: unknown) => void = () => {};
  const action = (): unknown => {
    seen.admitted = true;
    return {
      // oxlint-disable-next-line unicorn/no-thenable -- the point: it settles without a turn of the event loop
      then: (onResolved: (value: unknown) => void, onRejected: (error: unknown) => void) => {
        resolved = onResolved;
        rejected = onRejected;
      },
    };
  };
  const call = new Call(path, layer.key, action, {}, 0, () => {}, clock.now());
  call.start();
  return {
    get admitted() {
      return seen.admitted;
    },
    get ending() {
      return seen.ending;
    },
    get error() {
      return seen.error;
    },
    succeed: () => resolved('done'),
    fail: (error = new Error('down')) => rejected(error),
    cancel: () => call.cancel(new Error('not wanted')),
  };
}
