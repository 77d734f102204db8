// Measures what policies cost around a call that succeeds at once, beside the bare call and beside cockatiel and opossum
// in the same process; what an open breaker's rejection costs; what statistics cost after few and after many calls; and
// what a hundred thousand keys of one policy hold.

import { SystemClock } from '@datawarehouse/sdk';
import { readPolicyDocument } from '#resilience/policy/document.js';
import { ResilienceService } from '#resilience/policy/resilience-service.js';
import { STRATEGY_CLASSES } from '#resilience/policy/strategy-classes.js';
import {
  ConsecutiveBreaker,
  ExponentialBackoff,
  TimeoutStrategy,
  bulkhead,
  circuitBreaker,
  fallback,
  handleAll,
  isBrokenCircuitError,
  retry,
  timeout,
  wrap,
} from 'cockatiel';
import CircuitBreaker from 'opossum';

/** Short rounds, and many: one that nothing else on the machine interrupts is among them. */
const CALLS = 2_000;
/** Of what takes tens of microseconds. */
const FEWER_CALLS = 200;
const ROUNDS = 100;
const WARM_UP = 30;
const KEYS = 100_000;
const MIB = 1024 * 1024;
const FIVE = ['fallback', 'retry', 'circuit-breaker', 'bulkhead', 'timeout'];

const SLOW = new Set(['fiveCockatiel', 'rejectCockatiel', 'rejectOpossum']);

const action = async () => 1;
/** Takes a signal, so that one is made for it. */
const withSignal = async (signal) => (signal.aborted ? 0 : 1);
const failing = () => Promise.reject(new Error('down'));

function ours(maxCacheEntries = 1_000) {
  const service = new ResilienceService({
    clock: new SystemClock(false),
    strategies: STRATEGY_CLASSES,
    maxCacheEntries,
  });
  return (name, types) => {
    service.set(readPolicyDocument({ name, strategies: types.map((type) => ({ type })) }));
    return { service, policy: service.policy(name) };
  };
}

function cockatielFive() {
  return wrap(
    fallback(handleAll, undefined),
    retry(handleAll, { maxAttempts: 3, backoff: new ExponentialBackoff() }),
    circuitBreaker(handleAll, { halfOpenAfter: 30_000, breaker: new ConsecutiveBreaker(5) }),
    bulkhead(10),
    timeout(30_000, TimeoutStrategy.Aggressive),
  );
}

async function openCases(set) {
  const { service, policy } = set('open', ['circuit-breaker']);
  const cockatiel = circuitBreaker(handleAll, { halfOpenAfter: 1e9, breaker: new ConsecutiveBreaker(5) });
  const opossum = new CircuitBreaker(failing, {
    timeout: false,
    volumeThreshold: 1,
    errorThresholdPercentage: 1,
    resetTimeout: 2 ** 30,
  });
  for (let n = 0; n < 10; n++) {
    for (const call of [
      () => policy.execute(failing),
      () => cockatiel.execute(failing),
      () => opossum.fire(),
    ]) {
      await call().catch(() => {});
    }
  }
  const state = service.show('open', '').keys[0]?.layers[0]?.state?.state;
  const refused = await cockatiel.execute(action).catch((error) => error);
  if (state !== 'open' || !opossum.opened || !isBrokenCircuitError(refused))
    throw new Error('a breaker is not open');
  const refuse = (call) => () => call().catch(() => 0);
  return {
    cases: {
      reject: refuse(() => policy.execute(action)),
      rejectCockatiel: refuse(() => cockatiel.execute(action)),
      rejectOpossum: refuse(() => opossum.fire()),
    },
    stop: () => opossum.shutdown(),
  };
}

async function timed(call, calls) {
  const start = performance.now();
  for (let n = 0; n < calls; n++) await call();
  return ((performance.now() - start) * 1e3) / calls;
}

/** Bytes that one call allocates, with the action's own: the least of some tries without a collection in between. */
async function bytesOf(call) {
  let least = Infinity;
  for (let tries = 0; tries < 8; tries++) {
    globalThis.gc?.();
    const before = process.memoryUsage().heapUsed;
    for (let n = 0; n < 1_000; n++) await call();
    const grown = (process.memoryUsage().heapUsed - before) / 1_000;
    if (grown > 0) least = Math.min(least, grown);
  }
  return least;
}

function heldBytes() {
  for (let n = 0; n < 4; n++) globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}

/** MiB that the keys of one policy hold. */
async function keysMib() {
  const names = Array.from({ length: KEYS }, (_, n) => `key-${n}`);
  const { service, policy } = ours(KEYS)('keys', FIVE);
  const before = heldBytes();
  for (const key of names) await policy.execute(action, { key });
  const held = (heldBytes() - before) / MIB;
  if (service.instances.size !== KEYS) throw new Error('keys were forgotten');
  return held;
}

/** Microseconds that a record of statistics takes. */
function snapshotUs(service) {
  let least = Infinity;
  for (let tries = 0; tries < 60; tries++) {
    const start = performance.now();
    for (let n = 0; n < 30; n++) service.stats();
    least = Math.min(least, ((performance.now() - start) * 1e3) / 30);
  }
  return least;
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
const least = (values) => Math.min(...values);

/** Runs the measurement. @returns a title and rows; `ok` says whether a target was met. */
export async function run() {
  const set = ours();
  const five = set('five', FIVE).policy;
  const breaker = set('breaker', ['circuit-breaker']).policy;
  const theirs = cockatielFive();
  const theirBreaker = circuitBreaker(handleAll, {
    halfOpenAfter: 30_000,
    breaker: new ConsecutiveBreaker(5),
  });
  const opossum = new CircuitBreaker(action, { timeout: false });
  const open = await openCases(set);
  const cases = {
    bare: () => action(),
    five: () => five.execute(action),
    fiveSignal: () => five.execute(withSignal),
    fiveCockatiel: () => theirs.execute(action),
    breaker: () => breaker.execute(action),
    breakerCockatiel: () => theirBreaker.execute(action),
    breakerOpossum: () => opossum.fire(),
    ...open.cases,
  };
  const times = Object.fromEntries(Object.keys(cases).map((name) => [name, []]));
  // The cases take turns, so that a slow moment of the machine meets all of them; the first warm up.
  for (let round = -WARM_UP; round < ROUNDS; round++) {
    for (const [name, call] of Object.entries(cases)) {
      const us = await timed(call, SLOW.has(name) ? FEWER_CALLS : CALLS);
      if (round >= 0) times[name].push(us);
    }
  }
  const bytes = await bytesOf(cases.five);
  const bareBytes = await bytesOf(cases.bare);
  const bytesCockatiel = await bytesOf(cases.fiveCockatiel);
  const busy = ours()('busy', FIVE);
  await busy.policy.execute(action);
  const afterOne = snapshotUs(busy.service);
  for (let n = 0; n < 200_000; n++) await busy.policy.execute(action);
  const afterMany = snapshotUs(busy.service);
  const mib = await keysMib();
  opossum.shutdown();
  open.stop();

  // What else the machine does can only make a call longer: the least is the code's own. Ratios are those of a round.
  const us = Object.fromEntries(Object.entries(times).map(([name, values]) => [name, least(values)]));
  const ratio = median(times.five.map((value, round) => value / times.fiveCockatiel[round]));
  const over = (us.breaker - us.bare) * 1e3;
  return {
    title: 'Resilience: calls that succeed at once, one after another',
    rows: [
      { name: 'bare call', value: us.bare, unit: 'µs' },
      {
        name: 'fallback, retry, breaker, bulkhead, timeout',
        value: us.five,
        unit: 'µs',
        target: '6 µs',
        ok: us.five <= 6,
      },
      {
        name: '  with an action that takes a signal',
        value: us.fiveSignal,
        unit: 'µs',
        target: '6 µs',
        ok: us.fiveSignal <= 6,
      },
      {
        name: '  bytes a call, the bare one’s own included',
        value: bytes,
        unit: `B (bare ${Math.round(bareBytes)} B)`,
        target: '1 024 B',
        ok: bytes <= 1024,
      },
      {
        name: 'cockatiel: the same five',
        value: us.fiveCockatiel,
        unit: `µs, ${Math.round(bytesCockatiel)} B`,
        ratio,
        target: 'ours / theirs 0.12',
        ok: ratio <= 0.12,
      },
      { name: 'breaker over the bare call', value: over, unit: 'ns', target: '500 ns', ok: over <= 500 },
      {
        name: 'cockatiel: breaker over the bare call',
        value: (us.breakerCockatiel - us.bare) * 1e3,
        unit: 'ns',
      },
      { name: 'opossum: breaker over the bare call', value: (us.breakerOpossum - us.bare) * 1e3, unit: 'ns' },
      {
        name: 'rejection by an open breaker',
        value: us.reject,
        unit: 'µs',
        target: '3 µs',
        ok: us.reject <= 3,
      },
      { name: 'cockatiel: rejection', value: us.rejectCockatiel, unit: 'µs' },
      { name: 'opossum: rejection', value: us.rejectOpossum, unit: 'µs' },
      { name: 'statistics after one call', value: afterOne, unit: 'µs' },
      {
        name: 'statistics after 200 001 calls',
        value: afterMany,
        unit: 'µs',
        ratio: afterMany / afterOne,
        target: '2',
        ok: afterMany <= 2 * afterOne,
      },
      {
        name: '100 000 keys of the five',
        value: mib,
        unit: 'MiB',
        target: '100 MiB',
        ok: mib <= 100,
      },
    ],
  };
}
