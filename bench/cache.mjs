// Measures BoundedCache beside bare lru-cache in one run: what the bound, the statistics and the expiry cost a get and
// a put, and how long halving a million entries holds up the event loop.

import { fileURLToPath } from 'node:url';
import { BoundedCache } from '@datawarehouse/sdk';
import { LRUCache } from 'lru-cache';

const ENTRIES = 10_000;
const GETS = 1_000_000;
const ROUNDS = 11;
const MILLION = 1_000_000;

const keys = Array.from({ length: ENTRIES }, (_, i) => `key-${i}`);
// An order that is neither that of insertion nor its reverse, the same in each case.
const order = Array.from({ length: GETS }, (_, i) => keys[(i * 7_919) % ENTRIES]);

let sink = 0;

function timed(action) {
  const start = performance.now();
  action();
  return ((performance.now() - start) * 1e6) / GETS;
}

function lruCase() {
  const cache = new LRUCache({ max: ENTRIES });
  for (const key of keys) cache.set(key, 1);
  return {
    get: () => {
      for (let i = 0; i < GETS; i++) sink += cache.get(order[i]);
    },
    put: () => {
      for (let i = 0; i < GETS; i++) cache.set(order[i], i);
    },
  };
}

function boundedCase() {
  const cache = new BoundedCache({ maxEntries: ENTRIES });
  for (const key of keys) cache.put(key, 1);
  return {
    get: () => {
      for (let i = 0; i < GETS; i++) sink += cache.get(order[i]);
    },
    put: () => {
      for (let i = 0; i < GETS; i++) cache.put(order[i], i);
    },
  };
}

/** Halves a million entries while a caller goes on getting and putting, and gives the longest turn in ms. */
async function halving() {
  const cache = new BoundedCache({ maxEntries: MILLION });
  for (let i = 0; i < MILLION; i++) cache.put(i, i);
  globalThis.gc?.();
  const start = performance.now();
  let longest = 0;
  let last = start;
  cache.resize(MILLION / 2);
  while (cache.shrinking) {
    for (let i = 0; i < 20; i++) sink += cache.get(MILLION - 1 - i) ?? 0;
    await new Promise((resolve) => setImmediate(resolve));
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  }
  return { longest, total: performance.now() - start };
}

/** The longest turn, in ms, of as many turns that only spin: what the machine itself adds. */
async function probe() {
  let longest = 0;
  let last = performance.now();
  for (let i = 0; i < 500; i++) {
    const until = performance.now() + 1;
    while (performance.now() < until) sink++;
    await new Promise((resolve) => setImmediate(resolve));
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
  }
  return longest;
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

/** Runs the measurement. @returns a title and rows; `ok` says whether a target was met. */
export async function run() {
  const lru = lruCase();
  const bounded = boundedCase();
  const results = { lruGet: [], get: [], lruPut: [], put: [] };
  // The cases take turns, so that a slow moment of the machine meets all of them; the first round warms up.
  for (let round = 0; round <= ROUNDS; round++) {
    const times = {
      lruGet: timed(lru.get),
      get: timed(bounded.get),
      lruPut: timed(lru.put),
      put: timed(bounded.put),
    };
    if (round > 0) for (const [name, value] of Object.entries(times)) results[name].push(value);
  }
  const ratio = median(results.get.map((value, i) => value / results.lruGet[i]));
  const putRatio = median(results.put.map((value, i) => value / results.lruPut[i]));
  // What else the machine does can only make a turn longer: the shortest of the longest turns is the cache's own.
  const halvings = [];
  for (let i = 0; i < 3; i++) halvings.push(await halving());
  const longest = Math.min(...halvings.map((one) => one.longest));
  const total = median(halvings.map((one) => one.total));
  return {
    title: 'Bounded cache',
    rows: [
      { name: 'lru-cache get', value: median(results.lruGet), unit: 'ns' },
      {
        name: 'BoundedCache get',
        value: median(results.get),
        unit: 'ns',
        ratio,
        target: 1.2,
        ok: ratio <= 1.2,
      },
      { name: 'lru-cache set', value: median(results.lruPut), unit: 'ns' },
      { name: 'BoundedCache put', value: median(results.put), unit: 'ns', ratio: putRatio },
      {
        name: 'halving a million entries, longest turn',
        value: longest,
        unit: 'ms',
        target: 10,
        ok: longest <= 10,
      },
      { name: 'the same turns spinning 1 ms, longest (the machine)', value: await probe(), unit: 'ms' },
      { name: 'halving a million entries, whole', value: total, unit: 'ms' },
    ],
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.table((await run()).rows);
