// How fast a snapshot of a gigabyte moves from one process to another through the product (file, checksums, transport,
// file, fdatasync), beside a bare copy of the same file in the same run: read, CRC-32 of each 256 KiB, a TCP socket, the
// same CRC-32, write, fdatasync as often. And how much memory either side takes meanwhile.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { crc32, SystemClock } from '@datawarehouse/sdk';
import { TcpPeerTransport } from '@datawarehouse/plugin-cluster';
import { SnapshotReceiver } from '../packages/plugin-consensus/dist/engine/snapshot-receiver.js';
import { SnapshotSender } from '../packages/plugin-consensus/dist/engine/snapshot-sender.js';
import { SNAPSHOT_CHANNEL } from '../packages/plugin-consensus/dist/engine/snapshot-transfer.js';
import { FileNodeStorage } from '../packages/plugin-consensus/dist/storage/index.js';

const CHILD = 'snapshot-receiver';
const CHUNK = 256 * 1024;
const MIB = 1024 * 1024;
const BYTES = Number(process.env.DW_BENCH_SNAPSHOT_MIB ?? 1_024) * MIB;
const SYNC_EVERY = 8 * MIB;
const ROUNDS = 2;
const GROUP = 'g';
const CONF = {
  voters: ['n1', 'n2'],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  witnesses: [],
  autoLeave: false,
};
const silent = { debug() {}, info() {}, warn: console.error, error: console.error, child: () => silent };

function transportOf(id, peers) {
  const [host, port] = peers[id].split(':');
  const identity = {
    clusterId: 'bench',
    nodeId: id,
    incarnation: `${id}-${process.pid}`,
    http: `http://127.0.0.1/${id}`,
    version: '0.0.0',
    pid: process.pid,
  };
  return new TcpPeerTransport({ identity, listen: { host, port: Number(port) }, peers, log: silent });
}

async function freeAddress() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return `127.0.0.1:${port}`;
}

/** The largest resident memory above that at the start, in MiB, while `work` runs. */
async function watched(work) {
  globalThis.gc?.();
  const before = process.memoryUsage.rss();
  let most = before;
  const timer = setInterval(() => (most = Math.max(most, process.memoryUsage.rss())), 20);
  try {
    return { value: await work(), extra: (most - before) / MIB };
  } finally {
    clearInterval(timer);
  }
}

/** The other process: receives through the product, and over a bare socket. */
async function serve({ peers, directory }) {
  const transport = transportOf('n2', peers);
  const clock = new SystemClock();
  let group;
  const receiver = new SnapshotReceiver(
    {
      receive: (_id, metadata, shape) => group.receiveSnapshot(metadata, shape),
      deliver: () => undefined,
    },
    clock,
  );
  transport.handle(SNAPSHOT_CHANNEL, { onRequest: (from, payload) => receiver.onRequest(from, payload) });
  await transport.start();
  const server = createServer({ noDelay: true }, (socket) => void bareReceive(socket, directory));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  let most = 0;
  let before = 0;
  setInterval(() => (most = Math.max(most, process.memoryUsage.rss())), 20);
  let storage;
  const begin = async ({ round }) => {
    await storage?.close();
    await rm(join(directory, 'received'), { recursive: true, force: true });
    if (round === undefined) {
      process.send({ extra: (most - before) / MIB });
      return;
    }
    storage = await FileNodeStorage.open({ directory: join(directory, 'received') });
    group = await storage.openGroup(GROUP, CONF);
    globalThis.gc?.();
    before = process.memoryUsage.rss();
    most = before;
    process.send({ ready: true });
  };
  process.on('message', (order) => void begin(order));
  process.on('disconnect', () => process.exit(0));
  process.send({ port: server.address().port });
}

async function bareReceive(socket, directory) {
  const file = await open(join(directory, 'bare'), 'w');
  let pending = [];
  let have = 0;
  let written = 0;
  let unsynced = 0;
  for await (const data of socket.iterator({ destroyOnReturn: false })) {
    pending.push(data);
    have += data.length;
    while (have >= CHUNK) {
      const all = pending.length === 1 ? pending[0] : Buffer.concat(pending, have);
      const block = all.subarray(0, CHUNK);
      pending = all.length > CHUNK ? [all.subarray(CHUNK)] : [];
      have -= CHUNK;
      crc32(block);
      await file.write(block, 0, CHUNK, written);
      written += CHUNK;
      unsynced += CHUNK;
      if (unsynced >= SYNC_EVERY) {
        unsynced = 0;
        await file.datasync();
      }
    }
    if (written >= BYTES) break;
  }
  await file.datasync();
  await file.close();
  socket.end('.');
}

/** Sends the file over a bare socket; resolves when the other side has synced it. */
async function bareSend(path, port) {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  const done = once(socket, 'data');
  const file = await open(path, 'r');
  for (let at = 0; at < BYTES; at += CHUNK) {
    const block = Buffer.allocUnsafe(CHUNK);
    await file.read(block, 0, CHUNK, at);
    crc32(block);
    if (!socket.write(block)) await once(socket, 'drain');
  }
  await file.close();
  await done;
  socket.destroy();
}

async function prepare(directory) {
  const storage = await FileNodeStorage.open({ directory: join(directory, 'stored') });
  const group = await storage.openGroup(GROUP, CONF);
  const entry = { index: 1, term: 1, type: 'normal', data: Buffer.alloc(1) };
  await storage.write([{ groupId: GROUP, hardState: undefined, entries: [entry], snapshot: undefined }]);
  const block = Buffer.alloc(CHUNK);
  for (let at = 0; at < CHUNK; at++) block[at] = (at * 2_654_435_761) >>> 24;
  function* body() {
    for (let at = 0; at < BYTES; at += CHUNK) {
      block.writeUInt32LE(at / CHUNK, 0);
      yield block;
    }
  }
  await group.saveSnapshot({ index: 1, term: 1, conf: CONF }, body());
  const plain = await open(join(directory, 'plain'), 'w');
  for (const piece of body()) await plain.write(piece);
  await plain.datasync();
  await plain.close();
  return { storage, group };
}

/** Runs the measurement: about half a minute. @returns a title and rows; `ratio` is that to the bare copy. */
export async function run() {
  const directory = await mkdtemp(join(tmpdir(), 'dw-bench-snapshot-'));
  const peers = { n1: await freeAddress(), n2: await freeAddress() };
  const options = { execArgv: ['--expose-gc'] };
  const child = fork(fileURLToPath(import.meta.url), [CHILD, JSON.stringify({ peers, directory })], options);
  const transport = transportOf('n1', peers);
  const hear = () => once(child, 'message').then(([message]) => message);
  try {
    const { port } = await hear();
    const { storage, group } = await prepare(directory);
    await transport.start();
    while (transport.peers()[0].state !== 'connected') await new Promise((done) => setTimeout(done, 10));
    let ended;
    const limits = { maxSnapshotTransfers: 1, snapshotBytesPerSecond: 0 };
    const sender = new SnapshotSender(
      transport,
      silent,
      new SystemClock(),
      () => limits,
      (_group, _peer, ok) => ended(ok),
    );
    let [best, bare, extra] = [Infinity, Infinity, 0];
    for (let round = 0; round < ROUNDS; round++) {
      child.send({ round });
      await hear();
      const began = performance.now();
      const watch = await watched(
        () =>
          new Promise((resolve, reject) => {
            ended = (ok) => (ok ? resolve() : reject(new Error('the transfer failed')));
            sender.start({ groupId: GROUP, peer: 'n2', term: 1, storage: group, metadataOnly: false });
          }),
      );
      best = Math.min(best, (performance.now() - began) / 1_000);
      extra = Math.max(extra, watch.extra);
      const bareBegan = performance.now();
      await bareSend(join(directory, 'plain'), port);
      bare = Math.min(bare, (performance.now() - bareBegan) / 1_000);
    }
    child.send({});
    const { extra: receiverExtra } = await hear();
    sender.stop();
    await storage.close();
    const rate = (seconds) => BYTES / 1e6 / seconds;
    return {
      title: `Snapshots: ${BYTES / MIB} MiB from one process's disk to another's over loopback`,
      rows: [
        {
          name: 'transfer',
          value: rate(best),
          unit: 'MB/s',
          beside: `${Math.round(rate(bare))} MB/s by a bare TCP copy with the same checksum and syncs`,
          ratio: bare / best,
          target: '300 MB/s or 0.8 of the copy',
          ok: rate(best) >= 300 || bare / best >= 0.8,
        },
        { name: 'memory beyond the start, sender', value: extra, unit: 'MiB', target: '64', ok: extra <= 64 },
        {
          name: 'memory beyond the start, receiver',
          value: receiverExtra,
          unit: 'MiB',
          target: '64',
          ok: receiverExtra <= 64,
        },
      ],
    };
  } finally {
    await transport.close();
    child.kill('SIGKILL');
    await rm(directory, { recursive: true, force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv[2] === CHILD) await serve(JSON.parse(process.argv[3]));
  else console.table((await run()).rows);
}
