// Puts of 256-byte values into three durable nodes at 1, 16, 64 and 256 clients, beside a three-member etcd under the
// same load in the same run. Each system runs alone, in turn, level by level, so that both see the same machine.
//
// The load generator is a process of its own, in JavaScript, with hand-written clients on raw sockets for both
// (HTTP/1.1 for dw, gRPC for etcd): its share of the cores is in the table.
import { fileURLToPath } from 'node:url';
import { etcdVersion, startDw, startEtcd } from './load/clusters.mjs';
import { runLoad } from './load/run-load.mjs';

const load = (cluster, clients, options) =>
  runLoad({
    kind: cluster.kind,
    targets: cluster.targets,
    clients,
    seconds: options.seconds,
    warmupSeconds: options.warmupSeconds,
    valueBytes: 256,
    keys: 10_000,
  });

const ms = (value) => `${value.toFixed(1)} ms`;

/** One system's figures at all levels. The other one is not running meanwhile. */
async function measure(start, levels, options) {
  const cluster = await start();
  try {
    const found = [];
    for (const clients of levels) found.push(await load(cluster, clients, options));
    return found;
  } finally {
    await cluster.stop();
  }
}

/** Runs the comparison. */
export async function run(options = { seconds: 5, warmupSeconds: 2, rounds: 2 }) {
  const levels = [1, 16, 64, 256];
  const version = etcdVersion();
  const best = { dw: [], etcd: [] };
  for (let round = 0; round < options.rounds; round++) {
    for (const [name, start] of [
      ['etcd', version && startEtcd],
      ['dw', startDw],
    ]) {
      if (!start) continue;
      const found = await measure(start, levels, options);
      // Of two rounds the better one counts, for both alike: the worse one shows what else the machine was doing.
      found.forEach((figures, at) => {
        if (!(best[name][at]?.perSecond > figures.perSecond)) best[name][at] = figures;
      });
    }
  }
  const rows = levels.map((clients, at) => {
    const dw = best.dw[at];
    const etcd = best.etcd[at];
    const ratio = etcd && dw.perSecond / etcd.perSecond;
    const target = clients >= 64 ? 0.8 : undefined;
    return {
      name: `puts, ${clients} clients`,
      value: `${dw.perSecond.toFixed(0)}/s  p50 ${ms(dw.p50)}  p99 ${ms(dw.p99)}  errors ${dw.errors}  generator ${dw.cores.toFixed(2)} cores`,
      ...(etcd && {
        beside: `${etcd.perSecond.toFixed(0)}/s  p50 ${ms(etcd.p50)}  p99 ${ms(etcd.p99)}  errors ${etcd.errors}  generator ${etcd.cores.toFixed(2)} cores`,
        ratio,
        ...(target && { target: `≥ ${target}`, ok: ratio >= target }),
      }),
    };
  });
  return {
    title: `three durable nodes, 256-byte puts, beside ${version ? `etcd ${version}` : 'nothing: etcd is not installed'}`,
    rows,
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { print } = await import('./table.mjs');
  print(await run());
}
