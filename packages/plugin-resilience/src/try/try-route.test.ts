import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { RouteRequest } from '@datawarehouse/sdk';
import { SystemClock } from '@datawarehouse/sdk';
import { describe, expect, it } from 'vitest';
import { readPolicyDocument } from '../policy/document.js';
import { ResilienceService } from '../policy/resilience-service.js';
import { STRATEGY_CLASSES } from '../policy/strategy-classes.js';
import { requestByFetch } from './try-request.js';
import type { TryRouteParts } from './try-route.js';
import { tryRoute } from './try-route.js';

function setUp(parts: Partial<TryRouteParts> = {}) {
  const clock = new SystemClock(false);
  const service = new ResilienceService({ clock, strategies: STRATEGY_CLASSES });
  service.set(readPolicyDocument({ name: 'p', strategies: [{ type: 'timeout' }] }));
  const controller = new AbortController();
  const route = tryRoute({
    service,
    clock,
    node: { httpUrl: 'http://127.0.0.1:7400', client: undefined },
    maxRuns: () => 1,
    ...parts,
  });
  const ask = async (body: object, name = 'p') =>
    route.handler({
      params: { name },
      query: {},
      headers: {},
      body,
      signal: controller.signal,
    } satisfies RouteRequest);
  return { ask, controller };
}

async function text(stream: AsyncIterable<string | Uint8Array> | undefined): Promise<string> {
  let read = '';
  for await (const part of stream ?? []) read += String(part);
  return read;
}

const URL_HERE = 'http://127.0.0.1:9/';

describe('the route that tries a policy', () => {
  it('streams what happens as server-sent events', async () => {
    const { ask } = setUp({ request: async (_url, _method, _signal, answered) => answered(204) });
    const { stream } = await ask({ url: URL_HERE, calls: 2, intervalMs: 0 });
    const blocks = (await text(stream)).split('\n\n').filter(Boolean);
    expect(blocks.map((block) => block.split('\n')[0])).toEqual([
      'event: start',
      'event: call',
      'event: call',
      'event: done',
    ]);
    const data = blocks[1]?.split('\n')[1]?.slice('data: '.length) ?? '';
    expect(JSON.parse(data)).toMatchObject({ kind: 'call', n: 1, outcome: 'succeeded', status: 204 });
    const first = blocks[0]?.split('\n')[1]?.slice('data: '.length) ?? '';
    expect(JSON.parse(first)).toMatchObject({ key: 'try:127.0.0.1:9', url: URL_HERE });
  });

  it.each([
    ['not a url', 'it is no URL'],
    ['file:///etc/passwd', 'only http and https are allowed, not file:'],
    ['gopher://127.0.0.1/', 'only http and https'],
    ['http://me:secret@127.0.0.1/', 'a user name or a password'],
  ])('does not call %s', async (url, why) => {
    const { ask } = setUp();
    const refused = ask({ url });
    await expect(refused).rejects.toMatchObject({ code: 'try-url-invalid', status: 422 });
    await expect(refused).rejects.toThrow(why);
    await expect(refused).rejects.not.toThrow('secret');
  });

  it('is for the owner of the node: on loopback, or with its token', async () => {
    const request = async (): Promise<void> => {};
    const beyond = 'http://192.0.2.1:7400';
    const open = setUp({ request, node: { httpUrl: beyond, client: undefined } });
    await expect(open.ask({ url: URL_HERE })).rejects.toMatchObject({ code: 'try-not-allowed', status: 403 });
    for (const httpUrl of ['http://127.0.0.1.example.com:1', 'http://0.0.0.0:1', 'http://[::]:1']) {
      const near = setUp({ request, node: { httpUrl, client: undefined } });
      await expect(near.ask({ url: URL_HERE })).rejects.toMatchObject({ code: 'try-not-allowed' });
    }
    const client = { host: '192.0.2.1', port: 1, authorize: () => true };
    const guarded = setUp({ request, node: { httpUrl: beyond, client } });
    await text((await guarded.ask({ url: URL_HERE, calls: 1 })).stream);
    const local = setUp({ request, node: { httpUrl: 'http://[::1]:1', client: undefined } });
    await text((await local.ask({ url: URL_HERE, calls: 1 })).stream);
  });

  it('makes so many runs at once and no more, and takes another when one has ended', async () => {
    const { ask, controller } = setUp({ request: async () => {} });
    const first = await ask({ url: URL_HERE, calls: 2, intervalMs: 0 });
    await expect(ask({ url: URL_HERE })).rejects.toMatchObject({ code: 'try-runs-exhausted', status: 429 });
    await expect(ask({ url: URL_HERE }, 'none')).rejects.toMatchObject({ code: 'try-runs-exhausted' });
    await text(first.stream);
    await expect(ask({ url: URL_HERE }, 'none')).rejects.toMatchObject({ code: 'policy-unknown' });
    const second = await ask({ url: URL_HERE });
    controller.abort(new Error('gone'));
    expect(await text(second.stream)).toContain('event: done');
  });
});

describe('a request of a run', () => {
  it('takes 429 and 500 to 599 for failures, heeds Retry-After, and follows no redirect', async () => {
    const paths: string[] = [];
    const server = createServer((request, response) => {
      paths.push(`${request.method ?? ''} ${request.url ?? ''}`);
      const status = Number(request.url?.slice(1));
      response.writeHead(status, { location: '/200', 'retry-after': '7' });
      response.end('x'.repeat(100_000));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const statuses: number[] = [];
    const { signal } = new AbortController();
    const ask = (status: number): Promise<void> =>
      requestByFetch(`${base}/${status}`, 'GET', signal, (answered) => void statuses.push(answered));
    await ask(200);
    await ask(404);
    await ask(302);
    await expect(ask(503)).rejects.toMatchObject({
      code: 'try-answer-failed',
      status: 503,
      retryAfterMs: 7_000,
    });
    await expect(ask(429)).rejects.toMatchObject({ code: 'try-answer-failed' });
    expect(statuses).toEqual([200, 404, 302, 503, 429]);
    expect(paths).toEqual(['GET /200', 'GET /404', 'GET /302', 'GET /503', 'GET /429']);
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await expect(ask(200)).rejects.toMatchObject({
      code: 'try-no-answer',
      message: expect.stringMatching(/^no answer from http:.*: [A-Z_]+$/) as string,
    });
  });
});
