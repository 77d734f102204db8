// The load generator, a process of its own: so many closed-loop clients, each on its own connection, spread over the
// nodes in turn. Takes its orders as one JSON argument and prints one JSON line.
import { randomBytes } from 'node:crypto';
import { openOwnClient, openSharedClient } from './client-target.mjs';
import { openGrpc } from './grpc-target.mjs';
import { openHttp1 } from './http1-target.mjs';

const {
  kind,
  operation = 'put',
  targets,
  clients,
  seconds,
  warmupSeconds,
  valueBytes,
  keys,
} = JSON.parse(process.argv[2]);
const open = {
  http1: openHttp1,
  grpc: openGrpc,
  'client-shared': openSharedClient,
  'client-own': openOwnClient,
}[kind];
const value = randomBytes(valueBytes);
const latencies = [];
let errors = 0;
let measuring = false;
let stopping = false;
let begun = 0;
/** Resolves when every caller has had its first answer: connections and sessions are open then. */
let allBegun;
const ready = new Promise((resolve) => (allBegun = resolve));

async function client(at) {
  const connection = await open(targets[at % targets.length], targets);
  let turn = at * 7_919;
  let turns = 0;
  while (!stopping) {
    const began = performance.now();
    turn = (turn + 104_729) % keys;
    const key = `bench-${turn}`;
    const ok = await (operation === 'get' ? connection.get(key) : connection.put(key, value));
    if (measuring) {
      if (ok) latencies.push(performance.now() - began);
      else errors += 1;
    }
    if (turns++ === 0 && ++begun === clients) allBegun();
    // A server that refuses at once would otherwise be asked in an endless tight loop.
    if (!ok) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  connection.close();
}

const all = Promise.all(Array.from({ length: clients }, (_, at) => client(at)));
await Promise.race([ready, new Promise((resolve) => setTimeout(resolve, 30_000))]);
await new Promise((resolve) => setTimeout(resolve, warmupSeconds * 1000));
measuring = true;
const began = performance.now();
const cpu = process.cpuUsage();
await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
measuring = false;
const took = (performance.now() - began) / 1000;
const used = process.cpuUsage(cpu);
stopping = true;
await Promise.race([all, new Promise((resolve) => setTimeout(resolve, 3_000))]);

latencies.sort((a, b) => a - b);
const at = (q) => latencies[Math.min(latencies.length - 1, Math.floor(q * latencies.length))] ?? NaN;
console.log(
  JSON.stringify({
    perSecond: latencies.length / took,
    p50: at(0.5),
    p99: at(0.99),
    errors,
    cores: (used.user + used.system) / 1e6 / took,
  }),
);
process.exit(0);
