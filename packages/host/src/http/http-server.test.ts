import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { DwError, Type } from '@datawarehouse/sdk';
import type { Logger, RouteDefinition, RouteRequest } from '@datawarehouse/sdk';
import { HttpServer } from './http-server.js';
import type { HttpServerLimits } from './http-server-limits.js';
import { RouteTable } from './route-table.js';

const run = <T>(fn: () => T): T => fn();
const silent: Logger = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };

const servers: HttpServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

interface Problem {
  readonly code: string;
  readonly status: number;
  readonly detail: string;
  readonly retryable: boolean;
  readonly hint?: string;
}

async function serve(
  routes: readonly Partial<RouteDefinition>[],
  options: { token?: string; limits?: Partial<HttpServerLimits> } = {},
) {
  const table = new RouteTable();
  for (const route of routes) {
    table.add(
      'test',
      {
        method: 'GET',
        path: '/v1/t',
        summary: 'of a test',
        handler: () => ({}),
        ...route,
      },
      run,
    );
  }
  const server = new HttpServer({
    config: { http: { host: '127.0.0.1', port: 0, ...(options.token && { token: options.token }) } },
    routes: table,
    log: silent,
    ...(options.limits && { limits: options.limits }),
  });
  servers.push(server);
  const { url, port } = await server.listen();
  return { server, table, url, port };
}

const problem = async (response: Response): Promise<Problem> => (await response.json()) as Problem;

/** Sends raw bytes and resolves with all that comes back until the connection closes. */
function raw(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(text));
    let answer = '';
    socket.on('data', (chunk) => (answer += chunk.toString()));
    socket.on('close', () => resolve(answer));
    socket.on('error', reject);
  });
}

describe('HttpServer', () => {
  it('gives a bytes route the bytes and sends bytes back', async () => {
    const { url } = await serve([
      {
        method: 'PUT',
        path: '/v1/kv/:key',
        body: 'bytes',
        handler: (r) => ({ body: r.body, headers: { etag: '"1"' } }),
      },
    ]);
    const bytes = Buffer.from([0, 255, 1, 254]);
    const response = await fetch(`${url}/v1/kv/a%2Fb`, { method: 'PUT', body: bytes });
    expect(response.headers.get('etag')).toBe('"1"');
    expect(Buffer.from(await response.arrayBuffer())).toEqual(bytes);
  });

  it('gives an empty body as no bytes', async () => {
    const { url } = await serve([
      {
        method: 'PUT',
        path: '/v1/t',
        body: 'bytes',
        handler: (r) => ({ body: { length: (r.body as Buffer).length } }),
      },
    ]);
    const response = await fetch(`${url}/v1/t`, { method: 'PUT' });
    expect(await response.json()).toEqual({ length: 0 });
  });

  it('checks JSON bodies, fills in defaults, and names what is wrong', async () => {
    const body = Type.Object(
      { to: Type.String(), count: Type.Integer({ default: 3 }) },
      { additionalProperties: false },
    );
    const { url } = await serve([
      { method: 'POST', path: '/v1/t', body, handler: (r) => ({ body: r.body }) },
    ]);
    const post = (text: string, type = 'application/json'): Promise<Response> =>
      fetch(`${url}/v1/t`, { method: 'POST', body: text, headers: { 'content-type': type } });
    expect(await (await post('{"to":"n2"}')).json()).toEqual({ to: 'n2', count: 3 });
    const wrong = await problem(await post('{"too":"n2"}'));
    expect(wrong).toMatchObject({ status: 400, code: 'request-invalid', retryable: false });
    expect((await problem(await post('{'))).code).toBe('bad-json');
    expect((await problem(await post(''))).code).toBe('bad-json');
    expect((await problem(await post('{}', 'text/plain'))).code).toBe('unsupported-media-type');
  });

  it('checks the query against its schema and hands on texts', async () => {
    const query = Type.Object({ limit: Type.Optional(Type.Integer({ maximum: 10 })) });
    const { url } = await serve([{ query, handler: (r) => ({ body: r.query }) }]);
    expect(await (await fetch(`${url}/v1/t?limit=7`)).json()).toEqual({ limit: '7' });
    expect((await problem(await fetch(`${url}/v1/t?limit=70`))).detail).toContain('at most 10');
    expect((await problem(await fetch(`${url}/v1/t?limit=%FF`))).code).toBe('bad-percent-encoding');
    expect((await problem(await fetch(`${url}/v1/t?limit=1&limit=2`))).detail).toContain('more than once');
  });

  it('answers every refusal with a problem document', async () => {
    const { url, port } = await serve([{ method: 'PUT', path: '/v1/kv/:key', body: 'bytes' }]);
    const missing = await fetch(`${url}/nothing`);
    expect(missing.status).toBe(404);
    expect(missing.headers.get('content-type')).toContain('application/problem+json');
    expect((await problem(missing)).code).toBe('not-found');
    const wrong = await fetch(`${url}/v1/kv/a`, { method: 'POST' });
    expect([wrong.status, wrong.headers.get('allow')]).toEqual([405, 'PUT, OPTIONS']);
    const escape = await raw(port, 'PUT /v1/kv/%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    expect(escape).toContain('"code":"bad-percent-encoding"');
    const garbage = await raw(port, 'hello\r\n\r\n');
    expect(garbage).toContain('"code":"bad-request"');
    const large = await raw(port, `GET /v1/t HTTP/1.1\r\nHost: x\r\nx-a: ${'y'.repeat(20_000)}\r\n\r\n`);
    expect(large).toContain('HTTP/1.1 431');
    const odd = await raw(port, 'OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    expect(odd).toMatch(/^HTTP\/1\.1 4/);
    const unknown = await raw(port, 'PROPFIND /v1/kv/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    expect(unknown).toContain('HTTP/1.1 405');
  });

  it('answers HEAD as GET without the body, and OPTIONS with what is allowed', async () => {
    const { url } = await serve([{ handler: () => ({ body: 'text', headers: { etag: '"7"' } }) }]);
    const head = await fetch(`${url}/v1/t`, { method: 'HEAD' });
    expect([head.status, head.headers.get('etag'), head.headers.get('content-length')]).toEqual([
      200,
      '"7"',
      '4',
    ]);
    expect(await head.text()).toBe('');
    const options = await fetch(`${url}/v1/t`, { method: 'OPTIONS' });
    expect([options.status, options.headers.get('allow')]).toEqual([204, 'GET, HEAD, OPTIONS']);
  });

  it('refuses a body that is too large, declared or not, and asks for the bound at each request', async () => {
    let most = 4;
    const { url } = await serve([
      {
        method: 'PUT',
        path: '/v1/t',
        body: 'bytes',
        maxBodyBytes: () => most,
        handler: () => ({ body: 'ok' }),
      },
    ]);
    const put = (body: string | ReadableStream): Promise<Response> =>
      fetch(`${url}/v1/t`, { method: 'PUT', body, duplex: 'half' } as object);
    expect((await problem(await put('12345'))).code).toBe('body-too-large');
    const stream = (): ReadableStream => new Blob(['12345']).stream();
    expect((await put(stream())).status).toBe(413);
    most = 5;
    expect((await put(stream())).status).toBe(200);
  });

  it('asks admit before it reads the body, and says when to come back', async () => {
    const admit = (): void => {
      throw new DwError({
        code: 'overloaded',
        message: 'full',
        status: 429,
        retryable: true,
        retryAfterMs: 1_500,
      });
    };
    const { port } = await serve([{ method: 'PUT', path: '/v1/t', body: 'bytes', admit }]);
    // The announced body never comes: the answer must not wait for it.
    const answer = await new Promise<string>((resolve) => {
      const socket = connect(port, '127.0.0.1', () =>
        socket.write('PUT /v1/t HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n'),
      );
      socket.once('data', (chunk) => {
        resolve(chunk.toString());
        socket.destroy();
      });
    });
    expect(answer).toContain('HTTP/1.1 429');
    expect(answer.toLowerCase()).toContain('retry-after: 2');
  });

  it('bounds the requests under way and the bytes of their bodies', async () => {
    const release: (() => void)[] = [];
    const { url, server } = await serve(
      [
        {
          method: 'PUT',
          body: 'bytes',
          handler: () => new Promise((resolve) => release.push(() => resolve({ body: 'ok' }))),
        },
      ],
      { limits: { maxRequests: 2, maxBodyBytesInMemory: 10 } },
    );
    const put = (body: string): Promise<Response> => fetch(`${url}/v1/t`, { method: 'PUT', body });
    const first = put('123456');
    await expect.poll(() => release.length).toBe(1);
    expect((await problem(await put('123456'))).code).toBe('overloaded');
    const second = put('1');
    await expect.poll(() => release.length).toBe(2);
    expect((await put('')).status).toBe(503);
    expect(server.statistics.overloaded).toBe(2);
    for (const fn of release) fn();
    expect((await first).status).toBe(200);
    expect((await second).status).toBe(200);
    expect(server.underWay).toBe(0);
    const third = put('1234567890');
    await expect.poll(() => release.length).toBe(3);
    release[2]?.();
    expect((await third).status).toBe(200);
  });

  it('asks for the token everywhere but on /healthz and /readyz', async () => {
    const token = 'a-token-of-some-length';
    const { url } = await serve([{}, { path: '/healthz' }, { path: '/readyz' }], { token });
    const get = async (path: string, authorization?: string): Promise<number> =>
      (await fetch(url + path, authorization ? { headers: { authorization } } : {})).status;
    expect(await get('/v1/t')).toBe(401);
    expect(await get('/v1/nothing')).toBe(401);
    expect(await get('/v1/t', 'Bearer wrong')).toBe(401);
    expect(await get('/v1/t', `Basic ${token}`)).toBe(401);
    expect(await get('/v1/t', `Bearer ${token}`)).toBe(200);
    expect(await get('/healthz')).toBe(200);
    expect(await get('/readyz')).toBe(200);
  });

  it('keeps pages of other sites from changing anything', async () => {
    const { url } = await serve([{ method: 'POST' }, {}]);
    const post = (origin: string): Promise<Response> =>
      fetch(`${url}/v1/t`, { method: 'POST', headers: { origin } });
    expect((await post('https://evil.example')).status).toBe(403);
    expect((await post('null')).status).toBe(403);
    expect((await post(url)).status).toBe(200);
    expect((await fetch(`${url}/v1/t`, { headers: { origin: 'https://evil.example' } })).status).toBe(200);
  });

  it('hides what a handler throws, reports it to the owner, and passes on a DwError', async () => {
    const failed: string[] = [];
    const { url, table } = await serve([
      {
        path: '/v1/throws',
        handler: () => {
          throw new Error('secret');
        },
      },
      { path: '/v1/rejects', handler: () => Promise.reject(new TypeError('secret')) },
      {
        path: '/v1/cycle',
        handler: () => {
          const a: { a?: unknown } = {};
          a.a = a;
          return { body: a };
        },
      },
      { path: '/v1/nothing', handler: () => undefined as never },
      {
        path: '/v1/refuses',
        handler: () => {
          throw new DwError({ code: 'version-mismatch', message: 'no', status: 412 });
        },
      },
    ]);
    table.onFailure = (owner, error) => failed.push(`${owner}: ${String(error)}`);
    for (const path of ['throws', 'rejects', 'cycle', 'nothing']) {
      const response = await fetch(`${url}/v1/${path}`);
      expect(response.status, path).toBe(500);
      const text = await response.text();
      expect(text, path).not.toContain('secret');
      expect(text).toContain('"code":"internal"');
    }
    expect(failed).toHaveLength(4);
    expect(failed[0]).toBe('test: Error: secret');
    expect((await problem(await fetch(`${url}/v1/refuses`))).code).toBe('version-mismatch');
    expect(failed).toHaveLength(4);
  });

  it('tells a handler that its client has gone', async () => {
    let signal: AbortSignal | undefined;
    const { url } = await serve(
      [
        {
          handler: (r: RouteRequest) => {
            signal = r.signal;
            return new Promise(() => {});
          },
        },
      ],
      { limits: { drainMs: 10 } },
    );
    const client = new AbortController();
    const request = fetch(`${url}/v1/t`, { signal: client.signal }).catch(() => 'gone');
    await expect.poll(() => signal).toBeDefined();
    expect(signal?.aborted).toBe(false);
    client.abort();
    expect(await request).toBe('gone');
    await expect.poll(() => signal?.aborted).toBe(true);
  });

  it('never aborts the signal of a request that was answered', async () => {
    let signal: AbortSignal | undefined;
    const { url } = await serve([
      {
        handler: (r: RouteRequest) => {
          signal = r.signal;
          return { body: 'ok' };
        },
      },
    ]);
    await (await fetch(`${url}/v1/t`)).text();
    await servers[0]?.close();
    expect(signal?.aborted).toBe(false);
  });

  it('answers for a handler that does not', async () => {
    const { url } = await serve(
      [{ handler: () => new Promise(() => {}) }, { method: 'POST', handler: () => new Promise(() => {}) }],
      { limits: { handlerMs: 1 } },
    );
    expect((await problem(await fetch(`${url}/v1/t`))).code).toBe('handler-timeout');
    const post = await fetch(`${url}/v1/t`, { method: 'POST' });
    expect(post.status).toBe(503);
    expect((await problem(post)).code).toBe('outcome-unknown');
  });

  it('streams events, and ends the stream in order when it closes', async () => {
    async function* events(signal: AbortSignal): AsyncGenerator<string> {
      yield 'data: 1\n\n';
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      yield 'data: last\n\n';
    }
    const { url, server } = await serve([{ handler: (r) => ({ stream: events(r.signal) }) }]);
    const response = await fetch(`${url}/v1/t`);
    expect(response.headers.get('content-type')).toContain('text/event-stream');
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    expect(Buffer.from((await reader.read()).value ?? []).toString()).toBe('data: 1\n\n');
    await server.close();
    expect((await reader.read()).done).toBe(true);
    expect(server.underWay).toBe(0);
  });

  it('cuts off a reader that does not read, and ends its source', async () => {
    let ended = false;
    async function* flood(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield Buffer.alloc(256 * 1024);
      } finally {
        ended = true;
      }
    }
    const { port, server } = await serve([{ handler: () => ({ stream: flood() }) }], {
      limits: { slowReaderMs: 50 },
    });
    const socket = connect(port, '127.0.0.1', () => socket.write('GET /v1/t HTTP/1.1\r\nHost: x\r\n\r\n'));
    socket.pause();
    await expect.poll(() => server.statistics.slowReaders, { timeout: 10_000 }).toBe(1);
    expect(ended).toBe(true);
    socket.destroy();
  });

  it('lets requests under way finish when it closes, and takes no new ones', async () => {
    let release: (() => void) | undefined;
    const { url, server } = await serve([
      { handler: () => new Promise((resolve) => (release = () => resolve({ body: 'finished' }))) },
    ]);
    const request = fetch(`${url}/v1/t`);
    await expect.poll(() => release).toBeDefined();
    const closed = server.close();
    release?.();
    const response = await request;
    expect(await response.text()).toBe('finished');
    expect(response.headers.get('connection')).toBe('close');
    await closed;
    await expect(fetch(`${url}/v1/t`)).rejects.toThrow('fetch failed');
  });

  it('says in one line why it cannot listen', async () => {
    const { port } = await serve([]);
    const second = new HttpServer({
      config: { http: { host: '127.0.0.1', port } },
      routes: new RouteTable(),
      log: silent,
    });
    await expect(second.listen()).rejects.toThrow(
      `HTTP cannot listen on 127.0.0.1:${port}: the port is in use`,
    );
  });
});
