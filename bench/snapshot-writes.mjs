// What a snapshot costs the writers beside it. Three durable nodes, a state of some hundred MiB, and a steady load of
// puts. The third node is taken out of the group and comes back with nothing, as a learner, so that the leader streams
// it a snapshot at the rate that the operator has set. The same two nodes acknowledge the writes all the time.
//
// Short windows take turns: in one the transfer runs at its rate, in the next the operator's limit holds it still. So
// what else the machine does hits both alike, and each window is compared with the two beside it; the median of these
// ratios is the result, and how far they scatter stands beside it. Windows with no third node at all are shown as well.
// And the same while the leader takes a snapshot of its own.
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { quantiles, startPaced } from './load/paced.mjs';
import { startNodes } from './load/nodes.mjs';
import { syncsBesideCopy } from './load/disk-probe.mjs';
import { startTimerProbe } from './load/timer-probe.mjs';

const MIB = 1024 * 1024;
const GROUP = 'group-1';
const FILL_VALUE = 4_096;
const DEFAULTS = {
  stateMib: 192,
  bytesPerSecond: 16 * MIB,
  rounds: 24,
  takingRounds: 6,
  probeRounds: 8,
  windowSeconds: 1.5,
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

/** Bytes a second at which a transfer stands still. */
const STILL = 1;
/** What was under way when the limit changed has reached the disk after so many ms. */
const SETTLE_MS = 300;

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

/** For so long, and no longer than a snapshot is on its way unless `always`. @returns how many MB/s moved. */
async function whileReceiving(n3, seconds, always = false) {
  const first = await received(n3);
  const began = performance.now();
  let [last, at] = [first, began];
  while (performance.now() - began < seconds * 1_000) {
    await sleep(100);
    const now = await received(n3);
    if (now === undefined && always) continue;
    if (now === undefined) break;
    [last, at] = [now, performance.now()];
  }
  return (last - first) / 1e6 / ((at - began) / 1_000);
}

/** What a window was like for the writers, and for timers in a process of their own. */
async function windowOf({ load, timers }, work) {
  const { value: found, late } = await timers.window(() => load.window(work));
  const { latencies, perSecond, value } = found;
  return { value, seen: { ...quantiles(latencies), perSecond, late: quantiles(late).p99 } };
}

/** Windows in which a transfer stands still and moves in turn: `alone` has one window more than `beside`. */
async function sending(cluster, probes, { rounds, windowSeconds, bytesPerSecond }) {
  const n3 = cluster.nodes[2];
  const rate = async (snapshotBytesPerSecond) => {
    await cluster.call('n1', 'PATCH', '/v1/limits/consensus', { snapshotBytesPerSecond });
    await sleep(SETTLE_MS);
  };
  // Looked at as often as in the windows in which it moves, so that this is no difference between the two.
  const idle = async () => (await windowOf(probes, () => whileReceiving(n3, windowSeconds, true))).seen;
  const found = { pairs: [], apart: [], mbps: [] };
  while (found.pairs.length < rounds) {
    await lead(cluster);
    found.apart.push(await idle());
    await rate(bytesPerSecond);
    await beginTransfer(cluster, n3);
    await rate(STILL);
    let before = await idle();
    while (found.pairs.length < rounds) {
      await rate(bytesPerSecond);
      const moving = await windowOf(probes, () => whileReceiving(n3, windowSeconds));
      const whole = (await received(n3)) !== undefined;
      await rate(STILL);
      // The last window of a transfer ends with it: it is not as long as the others, and is left out.
      if (!whole) break;
      const after = await idle();
      found.pairs.push({ before, beside: moving.seen, after });
      found.mbps.push(moving.value);
      before = after;
    }
    await dismiss(cluster, n3);
  }
  return found;
}

/** Windows without and with the leader taking a snapshot in turn. */
async function taking(cluster, probes, { takingRounds, windowSeconds }) {
  const found = { pairs: [], seconds: [] };
  const idle = async () => (await windowOf(probes, () => sleep(windowSeconds * 1_000))).seen;
  let before = await idle();
  for (let n = 0; n < takingRounds; n++) {
    const began = performance.now();
    const busy = await windowOf(probes, () => cluster.call('n1', 'POST', `/v1/groups/${GROUP}/snapshot`));
    found.seconds.push((performance.now() - began) / 1_000);
    await sleep(SETTLE_MS);
    const after = await idle();
    found.pairs.push({ before, beside: busy.seen, after });
    before = after;
  }
  return found;
}

const ms = (value) => value.toFixed(2);
const shown = (found) => {
  const of = (name) => median(found.map((each) => each[name]));
  const all = found.map(({ p99 }) => ms(p99)).join(' ');
  return `p50 ${ms(of('p50'))} ms  p99 ${ms(of('p99'))} ms  (p99 of each window: ${all})`;
};

/** Runs the measurement: about four minutes. */
export async function run(given = {}) {
  const options = { ...DEFAULTS, ...given };
  const disk = await probe(options);
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
    const timers = await startTimerProbe();
    const sent = await sending(cluster, { load, timers }, options);
    const taken = await taking(cluster, { load, timers }, options);
    timers.stop();
    await load.stop();
    return report(sent, taken, options, { disk, failures: load.failures() });
  } finally {
    await cluster.stop();
  }
}

/** What the disk alone does, without our code. */
async function probe({ bytesPerSecond, probeRounds, windowSeconds }) {
  const { alone, beside } = await syncsBesideCopy({
    bytesPerSecond,
    rounds: probeRounds,
    windowMs: windowSeconds * 1_000,
  });
  const windows = alone.map(quantiles);
  return beside.map((each, n) => ({ before: windows[n], beside: quantiles(each), after: windows[n + 1] }));
}

/** The value below which a share of the numbers lies. */
function quantile(numbers, share) {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length * share)];
}

/** How much the p99 rises: of each window over the mean of its two neighbours; the median, and the middle half. */
function rise(pairs) {
  const ratios = pairs.map(({ before, beside, after }) => (2 * beside.p99) / (before.p99 + after.p99));
  const [low, ratio, high] = [0.25, 0.5, 0.75].map((share) => quantile(ratios, share));
  return { ratio, shown: `half of the ratios between ${low.toFixed(2)} and ${high.toFixed(2)}` };
}

/** How much p99 differs from one window without anything to the next: what a rise has to be told apart from. */
function scatter(pairs) {
  const steps = pairs.map(
    ({ before, after }) => Math.max(before.p99, after.p99) / Math.min(before.p99, after.p99),
  );
  return `windows without it differ ${median(steps).toFixed(2)}-fold from the next`;
}

/** What the machine did meanwhile to a process that only waits. */
function timersOf(pairs) {
  const [moving, still] = ['beside', 'after'].map((when) => median(pairs.map((pair) => pair[when].late)));
  return `p99 of a bare timer's lateness ${ms(moving)} ms in these windows, ${ms(still)} ms without`;
}

/** How much of the load was done; less than all of it says that the machine did not keep up, and p99 is a queue's. */
function kept(pairs, wanted) {
  const share =
    median(pairs.flatMap(({ beside, after }) => [beside, after]).map(({ perSecond }) => perSecond)) / wanted;
  return share > 0.95 ? '' : `; ONLY ${Math.round(100 * share)} % OF THE LOAD WAS DONE`;
}

function report(sent, taken, options, { disk, failures }) {
  const whenSent = rise(sent.pairs);
  const whenTaken = rise(taken.pairs);
  const onDisk = rise(disk);
  const rate = (options.bytesPerSecond / 1e6).toFixed(1);
  const beside = (pairs) => shown(pairs.map((pair) => pair.beside));
  const without = (pairs) => shown(pairs.map((pair) => pair.after));
  return {
    title:
      `Writes beside snapshots: three durable nodes, ${options.perSecond} puts/s of 256 bytes by ${options.callers} callers, ` +
      `a state of ${options.stateMib} MiB; each ratio is that of p99 to the windows before and after, the median of all`,
    rows: [
      { name: 'probe: bare append of 4 KiB and fdatasync', value: without(disk) },
      {
        name: `probe: the same beside a bare copy, ${rate} MB/s`,
        value: beside(disk),
        beside: `${onDisk.shown}; ${scatter(disk)}`,
        ratio: onDisk.ratio,
      },
      { name: 'puts, no third node', value: shown(sent.apart) },
      { name: 'puts, a transfer that stands still', value: without(sent.pairs) },
      {
        name: `puts while a snapshot is sent at ${rate} MB/s`,
        value: beside(sent.pairs),
        beside:
          `${whenSent.shown}; ${scatter(sent.pairs)}; ${timersOf(sent.pairs)}; ${median(sent.mbps).toFixed(1)} MB/s arrived at the third node; ` +
          `puts that failed: ${failures}${kept(sent.pairs, options.perSecond)}`,
        ratio: whenSent.ratio,
        target: '<= 1.2',
        ok: whenSent.ratio <= 1.2 && failures === 0,
      },
      { name: 'puts, nothing else', value: without(taken.pairs) },
      {
        name: 'puts while the leader takes a snapshot',
        value: beside(taken.pairs),
        beside:
          `${whenTaken.shown}; ${scatter(taken.pairs)}; ${timersOf(taken.pairs)}; ${median(taken.seconds).toFixed(2)} s for a snapshot` +
          kept(taken.pairs, options.perSecond),
        ratio: whenTaken.ratio,
      },
    ],
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { print } = await import('./table.mjs');
  print(await run(JSON.parse(process.argv[2] ?? '{}')));
}
