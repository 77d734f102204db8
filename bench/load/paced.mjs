// A steady load through one client: so many callers, each of which begins a put at fixed moments, so that the load is
// the same whatever else the nodes do. What was due while the caller still waited counts from when it was due.
import { randomBytes } from 'node:crypto';
import { connect } from '../../packages/client/dist/index.js';

const VALUE_BYTES = 256;
const KEYS = 10_000;

/** Quantiles of latencies in ms. */
export function quantiles(latencies) {
  const sorted = latencies.toSorted((a, b) => a - b);
  const at = (q) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? NaN;
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: sorted.at(-1) ?? NaN };
}

/**
 * Begins the load. `window` resolves with the latencies of the puts that were due while `work` ran, and how many a second
 * that was. What was due before a window and is late by then, is not made up for in it: it is no doing of that window.
 */
export async function startPaced(endpoints, { callers, perSecond }) {
  const client = await connect({ endpoints });
  const value = randomBytes(VALUE_BYTES);
  const every = (1_000 * callers) / perSecond;
  let stopping = false;
  let sample;
  let windowFrom = 0;
  let failures = 0;
  const began = performance.now();
  const caller = async (at) => {
    let turn = at * 7_919;
    for (let due = began + (every * at) / callers; !stopping; due += every) {
      if (due < windowFrom) due = windowFrom + (every * at) / callers;
      const early = due - performance.now();
      if (early > 0) await new Promise((resolve) => setTimeout(resolve, early));
      // A timer that fires late is this process's doing; a caller that was still waiting is the nodes'.
      const from = early > 0 ? performance.now() : due;
      const into = sample;
      turn = (turn + 104_729) % KEYS;
      try {
        await client.put(`load/${turn}`, value);
        into?.push(performance.now() - from);
      } catch (error) {
        if (failures++ === 0) console.error(`a put failed: ${error.message}`);
      }
    }
  };
  const all = Promise.all(Array.from({ length: callers }, (_, at) => caller(at)));
  return {
    client,
    failures: () => failures,
    window: async (work) => {
      const mine = [];
      const from = performance.now();
      windowFrom = from;
      sample = mine;
      const value = await work();
      sample = undefined;
      return { latencies: mine, value, perSecond: (1_000 * mine.length) / (performance.now() - from) };
    },
    stop: async () => {
      stopping = true;
      await all;
      await client.close();
    },
  };
}
