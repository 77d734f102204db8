// An open-loop load: so many puts a second are begun whether or not earlier ones were answered, up to a bound on
// connections. Takes its orders as one JSON argument and prints one JSON line: what was answered how, and how fast.
import { randomBytes } from 'node:crypto';
import { openHttp1 } from './http1-target.mjs';

const { targets, perSecond, seconds, valueBytes, keys, maxConnections } = JSON.parse(process.argv[2]);
const value = randomBytes(valueBytes);
const idle = [];
const answered = { ok: 0, refused: 0, unsent: 0 };
const refusalMs = [];
let connections = 0;
let turn = 0;

async function put() {
  let connection = idle.pop();
  if (connection === undefined) {
    if (connections >= maxConnections) {
      answered.unsent += 1;
      return;
    }
    connections += 1;
    connection = await openHttp1(targets[connections % targets.length]);
  }
  turn = (turn + 104_729) % keys;
  const began = performance.now();
  const ok = await connection.put(`load-${turn}`, value);
  answered[ok ? 'ok' : 'refused'] += 1;
  if (!ok && refusalMs.length < 1_000_000) refusalMs.push(performance.now() - began);
  idle.push(connection);
}

const began = performance.now();
let started = 0;
while (performance.now() - began < seconds * 1000) {
  const due = Math.floor(((performance.now() - began) / 1000) * perSecond);
  for (; started < due; started++) {
    put().catch((error) => {
      console.error(error.message);
      answered.unsent += 1;
    });
  }
  await new Promise((resolve) => setTimeout(resolve, 2));
}
refusalMs.sort((a, b) => a - b);
console.log(
  JSON.stringify({
    ...answered,
    connections,
    refusalP50: refusalMs[Math.floor(refusalMs.length * 0.5)] ?? 0,
    refusalP99: refusalMs[Math.floor(refusalMs.length * 0.99)] ?? 0,
  }),
);
process.exit(0);
