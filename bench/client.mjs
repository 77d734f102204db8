// Durable puts and linearizable gets of 256-byte values through `@datawarehouse/client` at 1, 16, 64, 256 and 1 000
// callers, beside a three-member etcd under the same load in the same run. Each system runs alone, in turn, and takes
// some seconds of puts before it is measured; of two rounds the better one counts, for all alike. The machine's own
// probe is taken before each round: a bare write with fdatasync, and a bare echo over loopback.
import { fileURLToPath } from 'node:url';
import { etcdVersion, startDw, startEtcd } from './load/clusters.mjs';
import { echoesPerSecond, syncsPerSecond } from './load/probe.mjs';
import { runLoad } from './load/run-load.mjs';

const LEVELS = [1, 16, 64, 256, 1_000];
const OPERATIONS = ['put', 'get'];
/** Wanted ratios to etcd, by operation and callers. */
const TARGETS = { put: { 1: 1, 64: 2, 256: 3, 1_000: 3 }, get: { 1: 3, 16: 3, 64: 3, 256: 3, 1_000: 3 } };

/** Puts before anything is measured, for every system alike. */
const WARMUP = { callers: 64, seconds: 6 };

const HTTP_TARGETS = { put: { 1: 1, 16: 1, 64: 1, 256: 1, 1_000: 1 } };
const DEFAULT_SYSTEMS = ['etcd', 'shared', 'own'];

const ms = (value) => `${value.toFixed(value < 10 ? 2 : 1)} ms`;
const shown = ({ perSecond, p50, p99, errors, cores }) =>
  `${perSecond.toFixed(0)}/s  p50 ${ms(p50)}  p99 ${ms(p99)}${errors > 0 ? `  errors ${errors}` : ''}  generator ${cores.toFixed(2)} cores`;

/** One system's figures for all operations and levels. The others are not running meanwhile. */
async function measure(start, kind, options) {
  const cluster = await start();
  const found = {};
  const load = (operation, clients, seconds, warmupSeconds) =>
    runLoad({
      kind: kind ?? cluster.kind,
      operation,
      targets: cluster.targets,
      clients,
      seconds,
      warmupSeconds,
      valueBytes: 256,
      keys: 10_000,
    });
  try {
    // A process that runs for weeks is measured, not its start: one caller alone would take tens of thousands of puts,
    // and longer than its whole measurement, until a compiler at run time has seen enough of the code.
    await load('put', WARMUP.callers, WARMUP.seconds, 0);
    for (const operation of options.operations ?? OPERATIONS) {
      for (const callers of options.levels ?? LEVELS) {
        // The load generator has no other operation over HTTP.
        if (cluster.kind === 'http1' && kind === undefined && operation !== 'put') continue;
        found[`${operation} ${callers}`] = await load(
          operation,
          callers,
          options.seconds,
          options.warmupSeconds,
        );
      }
    }
    return found;
  } finally {
    await cluster.stop();
  }
}

/** Runs the comparison. */
export async function run(options = { seconds: 4, warmupSeconds: 1.5, rounds: 2 }) {
  const version = etcdVersion();
  const systems = [
    ['etcd', version && startEtcd, undefined],
    ['shared', startDw, 'client-shared'],
    ['own', startDw, 'client-own'],
    ['http', startDw, undefined],
  ].filter(([name, start]) => start && (options.systems ?? DEFAULT_SYSTEMS).includes(name));
  const best = { etcd: {}, shared: {}, own: {}, http: {} };
  const probes = [];
  for (let round = 0; round < options.rounds; round++) {
    for (const [name, start, kind] of systems) {
      probes.push({
        syncs: await syncsPerSecond(),
        echo: await echoesPerSecond(1),
        echoes: await echoesPerSecond(64),
      });
      for (const [line, figures] of Object.entries(await measure(start, kind, options))) {
        if (!(best[name][line]?.perSecond > figures.perSecond)) best[name][line] = figures;
      }
    }
  }
  const range = (name) =>
    `${Math.min(...probes.map((probe) => probe[name])).toFixed(0)} to ${Math.max(...probes.map((probe) => probe[name])).toFixed(0)}/s`;
  const rows = [
    { name: 'probe: write of 4 KiB and fdatasync', value: range('syncs') },
    { name: 'probe: echo over loopback, one at a time', value: range('echo') },
    { name: 'probe: echo over loopback, 64 at a time', value: range('echoes') },
  ];
  for (const operation of options.operations ?? OPERATIONS) {
    for (const callers of options.levels ?? LEVELS) {
      const line = `${operation} ${callers}`;
      const etcd = best.etcd[line];
      for (const [name, what] of [
        ['shared', 'one client'],
        ['own', 'a client each'],
        ['http', 'HTTP'],
      ]) {
        const figures = best[name][line];
        if (figures === undefined) continue;
        const ratio = etcd && figures.perSecond / etcd.perSecond;
        const target = (name === 'http' ? HTTP_TARGETS : TARGETS)[operation]?.[callers];
        rows.push({
          name: `${operation}s, ${callers} callers, ${what}`,
          value: shown(figures),
          ...(etcd && { beside: shown(etcd), ratio }),
          ...(etcd && target && { target: `≥ ${target}`, ok: ratio >= target }),
        });
      }
    }
  }
  return {
    title: `three durable nodes, 256-byte values, through the client, beside ${version ? `etcd ${version}` : 'nothing: etcd is not installed'}`,
    rows,
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { print } = await import('./table.mjs');
  print(await run(JSON.parse(process.argv[2] ?? '{"seconds":4,"warmupSeconds":1.5,"rounds":2}')));
}
