// Measures request and reply between two processes over the peer transport, at several depths (requests under way at
// once), beside a probe in the same run: bare framed TCP, which only cuts the stream into frames and sends each back,
// writing all of a turn at once. The ratio is what checksums, correlation, promises and accounting leave of that.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { TcpPeerTransport } from '@datawarehouse/plugin-cluster';

const DEPTHS = [1, 16, 64, 256];
const PAYLOAD = Buffer.alloc(256, 'x');
const HEADER_BYTES = 4;
const WARM_UP_MS = 250;
const ROUND_MS = 400;
const ROUNDS = 3;
const CHILD = 'measured-peer';

const silent = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };

function transportOf(id, peers) {
  const [host, port] = peers[id].split(':');
  return new TcpPeerTransport({
    identity: {
      clusterId: 'bench',
      nodeId: id,
      incarnation: `${id}-${process.pid}`,
      http: `http://127.0.0.1/${id}`,
      version: '0.0.0',
      pid: process.pid,
    },
    listen: { host, port: Number(port) },
    peers,
    log: silent,
  });
}

async function listening(server) {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server.address().port;
}

async function freeAddress() {
  const server = createServer();
  const port = await listening(server);
  server.close();
  await once(server, 'close');
  return `127.0.0.1:${port}`;
}

/** Calls `onFrame` with the payload of each length-prefixed frame, and `onEnd` after each chunk. */
function readFrames(socket, onFrame, onEnd) {
  let rest = Buffer.alloc(0);
  socket.on('data', (chunk) => {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let at = 0;
    while (bytes.length - at >= HEADER_BYTES) {
      const end = at + HEADER_BYTES + bytes.readUInt32BE(at);
      if (end > bytes.length) break;
      onFrame(bytes.subarray(at + HEADER_BYTES, end));
      at = end;
    }
    rest = bytes.subarray(at);
    onEnd();
  });
}

/** Gathers frames and writes them together. */
function frameWriter(socket) {
  let waiting = [];
  return {
    add: (payload) => {
      const header = Buffer.allocUnsafe(HEADER_BYTES);
      header.writeUInt32BE(payload.length);
      waiting.push(header, payload);
    },
    flush: () => {
      if (waiting.length === 0) return;
      socket.write(Buffer.concat(waiting));
      waiting = [];
    },
  };
}

/** The other process: echoes over the transport, and on a bare socket. */
async function serve(peers) {
  const transport = transportOf('n2', peers);
  transport.handle('echo', { onRequest: async (_from, payload) => Buffer.from(payload) });
  await transport.start();
  const server = createServer({ noDelay: true }, (socket) => {
    const writer = frameWriter(socket);
    readFrames(socket, writer.add, writer.flush);
    socket.on('error', () => socket.destroy());
  });
  process.on('disconnect', () => process.exit(0));
  process.send({ port: await listening(server) });
}

/** Requests a second that `ask` reaches with so many under way. */
async function throughput(ask, depth, milliseconds) {
  const start = performance.now();
  const end = start + milliseconds;
  let done = 0;
  const one = async () => {
    while (performance.now() < end) {
      await ask();
      done++;
    }
  };
  await Promise.all(Array.from({ length: depth }, one));
  return (done / (performance.now() - start)) * 1_000;
}

/** As {@link throughput}, over a bare socket: each reply that comes sends the next request. */
async function bareThroughput(socket, depth, milliseconds) {
  const writer = frameWriter(socket);
  const start = performance.now();
  const end = start + milliseconds;
  let [done, underWay] = [0, depth];
  await new Promise((resolve) => {
    readFrames(
      socket,
      () => {
        done++;
        if (performance.now() < end) writer.add(PAYLOAD);
        else if (--underWay === 0) resolve();
      },
      writer.flush,
    );
    for (let i = 0; i < depth; i++) writer.add(PAYLOAD);
    writer.flush();
  });
  socket.removeAllListeners('data');
  return (done / (performance.now() - start)) * 1_000;
}

const connected = (transport) =>
  new Promise((resolve) => {
    transport.onPeerStateChanged((_peer, state) => state === 'connected' && resolve());
    if (transport.peers()[0].state === 'connected') resolve();
  });

async function measure(transport, socket) {
  const ask = () => transport.request('n2', 'echo', PAYLOAD);
  const found = DEPTHS.map((depth) => ({ depth, dw: 0, bare: 0 }));
  for (const depth of [1, 256]) {
    await throughput(ask, depth, WARM_UP_MS);
    await bareThroughput(socket, depth, WARM_UP_MS);
  }
  // They take turns, so that a slow moment of the machine meets both; what else runs there can only slow them down.
  for (let round = 0; round < ROUNDS; round++) {
    for (const row of found) {
      row.dw = Math.max(row.dw, await throughput(ask, row.depth, ROUND_MS));
      row.bare = Math.max(row.bare, await bareThroughput(socket, row.depth, ROUND_MS));
    }
  }
  return found;
}

/** Runs the measurement: about 11 s. @returns a title and rows; `ratio` is that to the probe. */
export async function run() {
  const peers = { n1: await freeAddress(), n2: await freeAddress() };
  const child = fork(fileURLToPath(import.meta.url), [CHILD, JSON.stringify(peers)]);
  const transport = transportOf('n1', peers);
  let socket;
  try {
    const [{ port }] = await Promise.race([
      once(child, 'message'),
      once(child, 'exit').then(([code]) => Promise.reject(new Error(`the other process ended with ${code}`))),
    ]);
    socket = connect({ port, host: '127.0.0.1', noDelay: true });
    await once(socket, 'connect');
    await transport.start();
    await connected(transport);
    const found = await measure(transport, socket);
    return {
      title: 'Peer transport: 256-byte requests answered by another process',
      rows: found.map(({ depth, dw, bare }) => ({
        name: `${depth} under way`,
        value: dw,
        unit: 'requests/s',
        beside: `${Number(bare.toPrecision(4))} requests/s over bare framed TCP`,
        ratio: dw / bare,
      })),
    };
  } finally {
    socket?.destroy();
    await transport.close();
    child.kill('SIGKILL');
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv[2] === CHILD) await serve(JSON.parse(process.argv[3]));
  else console.table((await run()).rows);
}
