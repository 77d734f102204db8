// What a snapshot costs the writers beside it. Three durable nodes, a state of some hundred MiB, and a steady load of
// puts. The third node is taken out of the group and comes back with nothing, as a learner, so that the leader streams
// it a snapshot at the rate that the operator has set. The same two nodes acknowledge the writes all the time: what
// differs between the windows is the snapshot alone. Windows without and with one take turns, so that whatever else the
// machine does hits both alike; medians of windows are compared. And the same while the leader takes a snapshot.
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { quantiles, startPaced } from './load/paced.mjs';
import { startNodes } from './load/nodes.mjs';
import { syncsBesideCopy } from './load/disk-probe.mjs';

const MIB = 1024 * 1024;
const GROUP = 'group-1';
const FILL_VALUE = 4_096;
const DEFAULTS = {
  stateMib: 192,
  bytesPerSecond: 16 * MIB,
  rounds: 12,
  takingRounds: 4,
  probeRounds: 6,
  windowSeconds: 2.5,
  callers: 16,
  perSecond: 1_000,
};
/**
 * Above what the load writes, so that a snapshot is taken when this program asks for one; and no election because other
 * programs take the processors.
 */
const QUIET = {
  snapshotEntries: 50_000_000,
  snapshotLogBytes: 8 * 1024 * MIB,
  minElectionTimeoutMs: 3_000,
};

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];

async function eventually(what, attempt, timeoutMs = 60_000) {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const found = await attempt();
    if (found !== undefined) return found;
    if (performance.now() > deadline) throw new Error(`${what} did not happen within ${timeoutMs} ms`);
    await sleep(50);
  }
}

/** Puts values until the state has so many bytes. */
async function fill(client, bytes) {
  const value = Buffer.alloc(FILL_VALUE);
  const total = bytes / FILL_VALUE;
  let next = 0;
  const caller = async () => {
    while (next < total) {
      const n = next++;
      value.writeUInt32LE(n, 0);
      await client.put(`state/${n}`, Buffer.from(value));
    }
  };
  await Promise.all(Array.from({ length: 128 }, caller));
}

/** Bytes that the node has received of a snapshot that is on its way; undefined when there is none. */
async function received({ dataDir }) {
  for (const file of await readdir(dataDir, { recursive: true })) {
    if (!file.endsWith('.part')) continue;
    try {
      return (await stat(join(dataDir, file))).size;
    } catch (error) {
      // It was completed, and has its final name, since the directory was read.
      if (error.code !== 'ENOENT') throw error;
    }
  }
  return undefined;
}

async function view(cluster, id) {
  return (await cluster.call(id, 'GET', '/v1/groups')).find((group) => group.id === GROUP);
}

/** Until the third node has all that the group had at the time of the call. */
async function caughtUp(cluster) {
  const { commitIndex } = await view(cluster, 'n1');
  await eventually('n3 catches up', async () => {
    const { lastApplied, learners } = await view(cluster, 'n3');
    return learners.includes('n3') && lastApplied >= commitIndex ? true : undefined;
  });
}

const members = (cluster, change) => cluster.call('n1', 'POST', `/v1/groups/${GROUP}/members`, change);

/** Has the first node lead. */
async function lead(cluster) {
  const leader = await eventually('a leader', async () => (await view(cluster, 'n1')).leader ?? undefined);
  if (leader !== 'n1') await cluster.call('n1', 'POST', `/v1/groups/${GROUP}/transfer`, { to: 'n1' });
}

/** Takes the third node out of the group, with all that it has of it. */
async function dismiss(cluster, n3) {
  await members(cluster, { remove: ['n3'] });
  // A replica that is added before its old files are gone would go on with them, and need no snapshot.
  await sleep(500);
  const left = (file) => file.includes(GROUP) && /\.(seg|snap|part)$/.test(file);
  await eventually('the old replica is gone', async () =>
    (await readdir(n3.dataDir, { recursive: true })).some(left) ? undefined : true,
  );
}

/** Has the third node come back with nothing. Resolves once chunks arrive there. */
async function beginTransfer(cluster, n3) {
  await members(cluster, { addLearners: ['n3'] });
  await eventually('a transfer', async () => ((await received(n3)) > 0 ? true : undefined));
}

/** While a snapshot is on its way, at most so long. @returns how many MB/s moved. */
async function whileReceiving(n3, seconds) {
  const first = await received(n3);
  const began = performance.now();
  let [last, at] = [first, began];
  while (performance.now() - began < seconds * 1_000) {
    await sleep(100);
    const now = await received(n3);
    if (now === undefined) break;
    [last, at] = [now, performance.now()];
  }
  return (last - first) / 1e6 / ((at - began) / 1_000);
}

/** Windows without and with a transfer in turn. The third node is no member between them. */
async function sending(cluster, load, options) {
  const n3 = cluster.nodes[2];
  const [alone, beside, mbps] = [[], [], []];
  const idle = async () => {
    alone.push(quantiles((await load.window(() => sleep(options.windowSeconds * 1_000))).latencies));
  };
  for (let n = 0; n < options.rounds; n++) {
    await lead(cluster);
    await idle();
    await beginTransfer(cluster, n3);
    const { latencies, value } = await load.window(() => whileReceiving(n3, options.windowSeconds));
    beside.push(quantiles(latencies));
    mbps.push(value);
    await dismiss(cluster, n3);
  }
  await idle();
  return { alone, beside, mbps };
}

/** Windows without and with the leader taking a snapshot in turn. */
async function taking(cluster, load, options) {
  const [alone, beside, seconds] = [[], [], []];
  const idle = async () => {
    alone.push(quantiles((await load.window(() => sleep(options.windowSeconds * 1_000))).latencies));
  };
  for (let n = 0; n < options.takingRounds; n++) {
    await idle();
    const began = performance.now();
    const { latencies } = await load.window(() => cluster.call('n1', 'POST', `/v1/groups/${GROUP}/snapshot`));
    seconds.push((performance.now() - began) / 1_000);
    beside.push(quantiles(latencies));
  }
  await idle();
  return { alone, beside, seconds };
}

const ms = (value) => value.toFixed(2);
const shown = (found) => {
  const of = (name) => median(found.map((each) => each[name]));
  const all = found.map(({ p99 }) => ms(p99)).join(' ');
  return `p50 ${ms(of('p50'))} ms  p99 ${ms(of('p99'))} ms  (p99 of each window: ${all})`;
};

/** Runs the measurement: about two minutes. */
export async function run(given = {}) {
  const options = { ...DEFAULTS, ...given };
  const { bytesPerSecond, probeRounds: rounds } = options;
  const probed = await syncsBesideCopy({ bytesPerSecond, rounds, windowMs: 1_500 });
  const disk = { alone: probed.alone.map(quantiles), beside: probed.beside.map(quantiles) };
  const cluster = await startNodes(3);
  try {
    const limits = { ...QUIET, snapshotBytesPerSecond: options.bytesPerSecond };
    for (const { id } of cluster.nodes) await cluster.call(id, 'PATCH', '/v1/limits/consensus', limits);
    const load = await startPaced(
      cluster.nodes.map(({ clientAddress }) => clientAddress),
      options,
    );
    await fill(load.client, options.stateMib * MIB);
    await lead(cluster);
    for (const id of ['n1', 'n2']) await cluster.call(id, 'POST', `/v1/groups/${GROUP}/snapshot`);
    // Once to its end, which shows that what is measured below is a snapshot that a node can live from.
    await dismiss(cluster, cluster.nodes[2]);
    await beginTransfer(cluster, cluster.nodes[2]);
    await caughtUp(cluster);
    await dismiss(cluster, cluster.nodes[2]);
    const sent = await sending(cluster, load, options);
    const taken = await taking(cluster, load, options);
    await load.stop();
    return report(sent, taken, options, { disk, failures: load.failures() });
  } finally {
    await cluster.stop();
  }
}

/** How much the p99 rises: by the medians of all windows, and by that of each window over its two neighbours'. */
function rise({ alone, beside }) {
  const p99 = (windows) => median(windows.map((each) => each.p99));
  const pairs = beside.map((each, n) => (2 * each.p99) / (alone[n].p99 + alone[n + 1].p99));
  return { ratio: p99(beside) / p99(alone), paired: median(pairs) };
}

/** How far the windows with nothing beside them differ: the upper quartile of their p99 over the lower. */
function spread({ alone }) {
  const p99 = alone.map((each) => each.p99).toSorted((a, b) => a - b);
  return p99[Math.floor(p99.length * 0.75)] / p99[Math.floor(p99.length * 0.25)];
}

function report(sent, taken, options, { disk, failures }) {
  const whenSent = rise(sent);
  const whenTaken = rise(taken);
  const rate = (options.bytesPerSecond / 1e6).toFixed(1);
  return {
    title:
      `Writes beside snapshots: three durable nodes, ${options.perSecond} puts/s of 256 bytes by ${options.callers} callers, ` +
      `a state of ${options.stateMib} MiB`,
    rows: [
      { name: 'probe: bare append of 4 KiB and fdatasync', value: shown(disk.alone) },
      {
        name: `probe: the same beside a bare copy, ${rate} MB/s`,
        value: shown(disk.beside),
        ratio: rise(disk).ratio,
      },
      { name: 'puts, nothing else', value: shown(sent.alone) },
      {
        name: `puts while a snapshot is sent at ${rate} MB/s`,
        value: shown(sent.beside),
        beside:
          `${median(sent.mbps).toFixed(1)} MB/s arrived at the third node; puts that failed: ${failures}; ` +
          `median of each window to its neighbours ${whenSent.paired.toFixed(2)}; ` +
          `the windows with nothing else differ ${spread(sent).toFixed(1)}-fold by quartiles, ` +
          `which must be less than the rise that is looked for`,
        ratio: whenSent.ratio,
        target: '<= 1.2',
        ok: whenSent.ratio <= 1.2 && failures === 0,
      },
      { name: 'puts, nothing else', value: shown(taken.alone) },
      {
        name: 'puts while the leader takes a snapshot',
        value: shown(taken.beside),
        beside:
          `${median(taken.seconds).toFixed(2)} s for a snapshot; ` +
          `median of each window to its neighbours ${whenTaken.paired.toFixed(2)}`,
        ratio: whenTaken.ratio,
      },
    ],
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { print } = await import('./table.mjs');
  print(await run(JSON.parse(process.argv[2] ?? '{}')));
}
