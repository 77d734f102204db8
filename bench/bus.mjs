// Measures the message bus beside a bare eventemitter3 emit, in one run: what delivery through bounded queues with
// isolation and counting costs for each message, and what attributing each delivery to a plugin costs on top.

import { AsyncLocalStorage } from 'node:async_hooks';
import { fileURLToPath } from 'node:url';
import { ALL_TOPICS, InProcessBus } from '@datawarehouse/sdk';
import { EventEmitter } from 'eventemitter3';

const BATCH = 500;
const BATCHES = 500;
const ROUNDS = 15;
const TOPIC = 'bench.topic';

const turn = () => new Promise((resolve) => setImmediate(resolve));

let sink = 0;
const handler = (message) => {
  sink += message.sequence;
};

/** Nanoseconds a message: `step` publishes BATCH messages and resolves when all are delivered. */
async function timed(step) {
  const start = process.hrtime.bigint();
  for (let i = 0; i < BATCHES; i++) await step();
  return Number(process.hrtime.bigint() - start) / (BATCHES * BATCH);
}

function emitterCase() {
  const emitter = new EventEmitter();
  emitter.on(TOPIC, handler);
  return {
    step: async () => {
      for (let i = 0; i < BATCH; i++) {
        emitter.emit(TOPIC, { topic: TOPIC, payload: i, sender: 'x', time: 0, sequence: i });
      }
      await turn();
    },
  };
}

function busCase(publisher, subscriber = publisher, statistics = publisher) {
  subscriber.subscribe(TOPIC, handler);
  return {
    step: async () => {
      for (let i = 0; i < BATCH; i++) publisher.publish(TOPIC, i);
      await turn();
      while (statistics.statistics().queued > 0) await turn();
    },
  };
}

function attributed() {
  const bus = new InProcessBus();
  const storage = new AsyncLocalStorage();
  const plugin = { id: 'plugin' };
  const run = (action) => storage.run(plugin, action);
  return busCase(bus.scoped('a', ALL_TOPICS, run), bus.scoped('b', ALL_TOPICS, run), bus);
}

async function sendCase() {
  const bus = new InProcessBus();
  bus.respond('bench.ask', (message) => message.payload);
  const total = 100_000;
  const start = process.hrtime.bigint();
  for (let i = 0; i < total; i += 100) {
    await Promise.all(Array.from({ length: 100 }, (_, k) => bus.send('bench.ask', k)));
  }
  return Number(process.hrtime.bigint() - start) / total / 1_000;
}

// What else the machine does can only add: the fastest round is nearest to what the code itself costs.
const fastest = (values) => Math.min(...values);

/** Runs the measurement. @returns a title and rows; `ok` says whether a target was met. */
export async function run() {
  const bus = new InProcessBus();
  const cases = { emit: emitterCase(), bus: busCase(bus), attributed: attributed() };
  const results = { emit: [], bus: [], attributed: [] };
  for (const one of Object.values(cases)) await timed(one.step);
  // The cases take turns, so that a slow moment of the machine meets all of them.
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, one] of Object.entries(cases)) results[name].push(await timed(one.step));
  }
  const emit = fastest(results.emit);
  const more = fastest(results.bus) - emit;
  const attribution = fastest(results.attributed) - fastest(results.bus);
  bus.close();
  return {
    title: 'Message bus',
    rows: [
      { name: 'eventemitter3 emit, a new message each', value: emit, unit: 'ns' },
      { name: 'publish to one handler, delivered', value: fastest(results.bus), unit: 'ns' },
      { name: 'publish more than emit', value: more, unit: 'ns', target: 120, ok: more <= 120 },
      {
        name: 'scoped with attribution, more',
        value: attribution,
        unit: 'ns',
        target: 70,
        ok: attribution <= 70,
      },
      { name: 'send and answer, 100 at once', value: await sendCase(), unit: 'µs' },
    ],
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.table((await run()).rows);
