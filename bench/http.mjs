// The host's HTTP path for a bytes route (route table, admission, bounded body, counters) beside bare fastify doing the
// same PUT, in one run. The server runs in this process, the load in one of its own, over kept connections; the two
// take turns in short rounds, so that a slow moment of the machine hits both alike.
import { fork } from 'node:child_process';
import { connect } from 'node:net';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const CONNECTIONS = 64;
const VALUE = Buffer.alloc(256, 'v');
const ROUNDS = 7;
const ROUND_MS = 600;
const ANSWER = Buffer.from('{"version":1,"group":"g1"}');
const script = fileURLToPath(import.meta.url);

/** One connection that sends its next request when it has its answer, over raw sockets to be no bottleneck. */
function client(port, until, count) {
  return new Promise((resolve, reject) => {
    const head = `PUT /v1/kv/key-1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\nContent-Length: ${VALUE.length}\r\n\r\n`;
    const request = Buffer.concat([Buffer.from(head), VALUE]);
    const socket = connect(port, '127.0.0.1', () => socket.write(request));
    socket.setNoDelay(true);
    let pending = '';
    socket.on('data', (chunk) => {
      pending += chunk.latin1Slice();
      const end = pending.indexOf('\r\n\r\n');
      if (end === -1) return;
      const length = Number(/content-length: (\d+)/i.exec(pending)?.[1]);
      if (pending.length < end + 4 + length) return;
      if (!pending.startsWith('HTTP/1.1 200')) return reject(new Error(pending.slice(0, 200)));
      pending = '';
      count.answers += 1;
      if (performance.now() < until) socket.write(request);
      else socket.end(resolve);
    });
    socket.on('error', reject);
  });
}

async function load(port, ms) {
  const count = { answers: 0 };
  const start = performance.now();
  await Promise.all(Array.from({ length: CONNECTIONS }, () => client(port, start + ms, count)));
  return count.answers / ((performance.now() - start) / 1_000);
}

if (process.argv[1] === script && process.send !== undefined) {
  process.on('message', ({ port, ms }) => {
    load(port, ms).then(
      (perSecond) => process.send(perSecond),
      (error) => {
        throw error;
      },
    );
  });
}

async function bareServer() {
  const { fastify } = createRequire(new URL('../packages/host/package.json', import.meta.url))('fastify');
  const app = fastify({ exposeHeadRoutes: false });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  app.put('/v1/kv/:key', async (request, reply) => {
    if (request.body.length !== VALUE.length) throw new Error('short body');
    reply.header('content-type', 'application/json; charset=utf-8').header('etag', '"1"');
    return ANSWER;
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  return { port: app.server.address().port, close: () => app.close() };
}

async function hostServer() {
  const { HttpServer } = await import('../packages/host/dist/http/http-server.js');
  const { RouteTable } = await import('../packages/host/dist/http/route-table.js');
  const log = { debug() {}, info() {}, warn: console.warn, error: console.error, child: () => log };
  const routes = new RouteTable();
  const answer = {
    headers: { 'content-type': 'application/json; charset=utf-8', etag: '"1"' },
    body: ANSWER,
  };
  routes.add(
    'bench',
    {
      method: 'PUT',
      path: '/v1/kv/:key',
      summary: 'Set a key',
      body: 'bytes',
      maxBodyBytes: () => 4 * 1024 * 1024,
      admit: () => {},
      handler: async ({ body }) => {
        if (body.length !== VALUE.length) throw new Error('short body');
        return answer;
      },
    },
    (fn) => fn(),
  );
  const server = new HttpServer({ config: { http: { host: '127.0.0.1', port: 0 } }, routes, log });
  const { port } = await server.listen();
  return { port, close: () => server.close() };
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

/** PUTs a second of the host and of bare fastify, and their ratio round by round. */
export async function run() {
  const child = fork(script, { stdio: 'inherit' });
  const died = new Promise((_, reject) => {
    child.once('exit', () => reject(new Error('the load has died')));
  });
  died.catch(() => {});
  const measure = (port, ms) => {
    const answer = new Promise((resolve) => child.once('message', resolve));
    child.send({ port, ms });
    return Promise.race([answer, died]);
  };
  const bare = await bareServer();
  const host = await hostServer();
  const found = { bare: [], host: [], ratio: [] };
  try {
    await measure(bare.port, ROUND_MS);
    await measure(host.port, ROUND_MS);
    for (let round = 0; round < ROUNDS; round++) {
      const first = round % 2 === 0 ? ['bare', 'host'] : ['host', 'bare'];
      const rates = {};
      for (const name of first)
        rates[name] = await measure(name === 'bare' ? bare.port : host.port, ROUND_MS);
      found.bare.push(rates.bare);
      found.host.push(rates.host);
      found.ratio.push(rates.host / rates.bare);
    }
  } finally {
    child.kill();
    await Promise.all([bare.close(), host.close()]);
  }
  const ratio = median(found.ratio);
  return {
    title: `HTTP: PUT of ${VALUE.length} bytes over ${CONNECTIONS} connections, server alone in its process`,
    rows: [
      { name: 'bare fastify', value: median(found.bare), unit: 'puts/s' },
      {
        name: 'the host',
        value: median(found.host),
        unit: 'puts/s',
        ratio,
        target: '≥ 0.9',
        ok: ratio >= 0.9,
      },
    ],
  };
}
