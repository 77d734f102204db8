import { createServer } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { run } from './run.js';

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}
interface Canned {
  readonly status?: number;
  readonly headers?: Record<string, string>;
  readonly body?: unknown;
}

let server: Server;
let url: string;
let seen: Seen[];
/** Answers by `METHOD /path`; anything else is 404. */
let answers: Record<string, Canned>;
let out: Buffer[];
let err: string;

beforeEach(async () => {
  seen = [];
  answers = {};
  out = [];
  err = '';
  server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method = '', url = '' } = request;
      seen.push({ method, url, headers: request.headers, body: Buffer.concat(chunks) });
      const canned = answers[`${method} ${url.split('?')[0]}`] ?? {
        status: 404,
        body: { code: 'not-found', detail: 'there is nothing', hint: 'look elsewhere' },
      };
      response.writeHead(canned.status ?? 200, canned.headers);
      response.end(Buffer.isBuffer(canned.body) ? canned.body : JSON.stringify(canned.body ?? {}));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const take = (chunk: string | Uint8Array, done?: unknown): boolean => {
    out.push(Buffer.from(chunk as Uint8Array));
    if (typeof done === 'function') (done as () => void)();
    return true;
  };
  vi.spyOn(process.stdout, 'write').mockImplementation(take);
  vi.spyOn(process.stderr, 'write').mockImplementation(((text: string) => {
    err += text;
    return true;
  }) as never);
});

afterEach(async () => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const dw = (...args: string[]): Promise<number> => run([...args, '--url', url]);
const text = (): string => Buffer.concat(out).toString();

describe('exit codes', () => {
  it.each([
    ['--help', 0],
    ['--version', 0],
    ['kv get --help', 0],
    ['nonsense', 2],
    ['', 2],
    ['kv put only-a-key', 2],
    ['kv list --limit 0', 2],
    ['kv list --limit many', 2],
    ['kv cas a one b', 2],
    ['kv put a b --if-absent --if-version 3', 2],
    ['limits bus maxQueueDepth', 2],
    ['limits maxQueueDepth=3', 2],
    ['limits bus a=1 a=2', 2],
    ['bus publish a.b {', 2],
    ['status --url nonsense', 2],
    ['start', 2],
    ['up --nodes 0', 2],
  ])('dw %s ends with %d', async (line, code) => {
    expect(await run(line.split(' ').filter(Boolean))).toBe(code);
  });

  it('is 1, with the reason, code and hint on standard error, when the host refuses', async () => {
    expect(await dw('kv', 'get', 'a')).toBe(1);
    expect(err).toBe('dw: there is nothing (not-found)\n    look elsewhere\n');
    expect(text()).toBe('');
  });

  it('is 1 when no host answers', async () => {
    expect(await run(['status', '--url', 'http://127.0.0.1:1'])).toBe(1);
    expect(err).toContain('no host answers at http://127.0.0.1:1: the connection was refused');
  });

  it('is 1 when something else answers', async () => {
    answers['GET /v1/plugins'] = { body: Buffer.from('<html>') };
    expect(await dw('plugins')).toBe(1);
    expect(err).toContain('answer-invalid');
  });
});

describe('dw kv', () => {
  it('prints a value byte for byte', async () => {
    const value = Buffer.from([0, 255, 10, 128]);
    answers['GET /v1/kv/a%2Fb'] = { body: value, headers: { etag: '"7"' } };
    expect(await dw('kv', 'get', 'a/b')).toBe(0);
    expect(Buffer.concat(out)).toEqual(value);
  });

  it('prints version and base64 as JSON', async () => {
    answers['GET /v1/kv/a'] = { body: Buffer.from([255]), headers: { etag: '"7"' } };
    expect(await dw('kv', 'get', 'a', '--json', '--stale')).toBe(0);
    expect(JSON.parse(text())).toEqual({ key: 'a', version: 7, base64: '/w==' });
    expect(seen[0]?.url).toBe('/v1/kv/a?consistency=stale');
  });

  it('reads a value from standard input, byte for byte', async () => {
    const value = Buffer.from([0, 255, 10]);
    vi.spyOn(process, 'stdin', 'get').mockReturnValue(Readable.from([value]) as never);
    answers['PUT /v1/kv/a'] = { body: { version: 3, group: 'g1' } };
    expect(await dw('kv', 'put', 'a', '-')).toBe(0);
    expect(seen[0]?.body).toEqual(value);
    expect(text()).toBe('version 3 in g1\n');
  });

  it('keeps keys that look like paths apart from paths', async () => {
    answers['PUT /v1/kv/%2E%2E'] = { body: { version: 1, group: 'g' } };
    expect(await dw('kv', 'put', '..', 'x')).toBe(0);
  });

  it.each([
    [['put', 'k', 'v', '--if-absent'], { 'if-none-match': '*' }],
    [['put', 'k', 'v', '--if-version', '7'], { 'if-match': '"7"' }],
    [['put', 'k', 'v', '--idempotency-key', 'i1'], { 'idempotency-key': 'i1' }],
    [['cas', 'k', '7', 'v'], { 'if-match': '"7"' }],
    [['cas', 'k', 'absent', 'v'], { 'if-none-match': '*' }],
    [['cas', 'k', '0', 'v'], { 'if-none-match': '*' }],
  ])('sends the conditions of %j', async (args, headers) => {
    answers['PUT /v1/kv/k'] = { body: { version: 8, group: 'g' } };
    expect(await dw('kv', ...args)).toBe(0);
    expect(seen[0]?.headers).toMatchObject(headers);
    expect(seen[0]?.body.toString()).toBe('v');
  });

  it('lists page by page', async () => {
    let page = 0;
    Object.defineProperty(answers, 'GET /v1/kv', {
      get: () => ({
        body: [{ items: [{ key: 'a', version: 1 }], next: 'a' }, { items: [{ key: 'b', version: 2 }] }][
          page++
        ],
      }),
    });
    expect(await dw('kv', 'list', '--prefix', 'x y', '--json')).toBe(0);
    expect(JSON.parse(text())).toEqual({
      items: [
        { key: 'a', version: 1 },
        { key: 'b', version: 2 },
      ],
    });
    expect(seen.map(({ url }) => url)).toEqual([
      '/v1/kv?prefix=x%20y&limit=1000',
      '/v1/kv?prefix=x%20y&after=a&limit=1000',
    ]);
    page = 0;
    out = [];
    expect(await dw('kv', 'list')).toBe(0);
    expect(text()).toBe('KEY  VERSION\na          1\nb          2\n');
  });
});

describe('dw limits', () => {
  const limit = { value: 5, unit: 'messages', min: 1, max: 10, default: 4, description: 'Waiting' };

  it('shows a table', async () => {
    answers['GET /v1/limits'] = { body: { bus: { maxQueueDepth: limit } } };
    expect(await dw('limits')).toBe(0);
    expect(text()).toBe(
      'SUBSYSTEM  LIMIT          VALUE  UNIT      MIN  MAX  DEFAULT  DESCRIPTION\n' +
        'bus        maxQueueDepth      5  messages    1   10        4  Waiting\n',
    );
  });

  it('changes limits', async () => {
    answers['PATCH /v1/limits/bus'] = { body: { applied: { a: 1_000 }, previous: { a: 4 } } };
    expect(await dw('limits', 'bus', 'a=1_000')).toBe(0);
    expect(JSON.parse(seen[0]?.body.toString() ?? '')).toEqual({ a: 1_000 });
    expect(text()).toBe('LIMIT  BEFORE   NOW\na           4  1000\n');
  });
});

describe('dw bus', () => {
  it('publishes JSON, and {} when there is none', async () => {
    answers['POST /v1/bus/a.b'] = { status: 202, body: { topic: 'a.b' } };
    expect(await dw('bus', 'publish', 'a.b', '{"x":1}')).toBe(0);
    expect(await dw('bus', 'publish', 'a.b')).toBe(0);
    expect(seen.map(({ body }) => body.toString())).toEqual(['{"x":1}', '{}']);
  });

  it('prints the reply of a send', async () => {
    answers['POST /v1/bus/a.b/send'] = { body: { sum: 6 } };
    expect(await dw('bus', 'send', 'a.b', '[1,2,3]', '--timeout', '50')).toBe(0);
    expect(JSON.parse(text())).toEqual({ sum: 6 });
    expect(seen[0]?.url).toBe('/v1/bus/a.b/send?timeoutMs=50');
  });

  it('prints messages as they come, until the count', async () => {
    const event = (n: number): string =>
      `event: a.b\nid: ${n}\ndata: {"topic":"a.b","payload":{"n":${n}}}\n\n`;
    answers['GET /v1/bus'] = { body: Buffer.from(`: listening\n\n${event(1)}${event(2)}${event(3)}`) };
    expect(await dw('bus', 'listen', 'a.*', 'c', '--count', '2')).toBe(0);
    expect(text()).toBe('a.b {"n":1}\na.b {"n":2}\n');
    expect(seen[0]?.url).toBe('/v1/bus?topics=a.*%2Cc');
  });
});

describe('dw groups: members', () => {
  const members = { id: 'g1', voters: ['n1', 'w1'], learners: ['n4'], witnesses: ['w1'] };
  const sent = (): unknown[] => seen.map(({ body }) => JSON.parse(body.toString()) as unknown);

  it('are added, promoted, replaced and removed by one request each, and shown as they are then', async () => {
    answers['POST /v1/groups/g1/members'] = { body: members };
    expect(await dw('groups', 'add', 'g1', 'n4', 'n5')).toBe(0);
    expect(text()).toMatch(/n1 +voter[^]*w1 +witness[^]*n4 +learner/);
    expect(await dw('groups', 'add', 'g1', 'n4', '--learner')).toBe(0);
    expect(await dw('groups', 'add', 'g1', 'n4', '--witness')).toBe(0);
    expect(await dw('groups', 'promote', 'g1', 'n4')).toBe(0);
    expect(await dw('groups', 'replace', 'g1', 'n1', 'n4')).toBe(0);
    expect(await dw('groups', 'remove', 'g1', 'n1')).toBe(0);
    expect(sent()).toEqual([
      { add: ['n4', 'n5'] },
      { addLearners: ['n4'] },
      { addWitnesses: ['n4'] },
      { add: ['n4'] },
      { add: ['n4'], remove: ['n1'] },
      { remove: ['n1'] },
    ]);
  });

  it('are shown, and an unknown group is an error', async () => {
    answers['GET /v1/groups'] = { body: [members] };
    expect(await dw('groups', 'members', 'g1', '--json')).toBe(0);
    expect(JSON.parse(text())).toEqual(members);
    expect(await dw('groups', 'members', 'g2')).toBe(1);
    expect(err).toContain('group-unknown');
  });

  it('are recovered only after the plan was shown and confirmed', async () => {
    const survivor = { node: 'n1', term: 3, lastIndex: 9, lastTerm: 2, commit: 8 };
    const plan = { group: 'g1', chosen: 'n1', lost: ['n2', 'n3'], warnings: ['what is lost'], token: 't' };
    answers['POST /v1/groups/g1/recover'] = { body: { plan: { ...plan, survivors: [survivor] } } };
    expect(await dw('groups', 'recover', 'g1')).toBe(1);
    expect(text()).toMatch(/n1 +3 +9 +2 +8 +goes on/);
    expect(text()).toContain('what is lost');
    expect(err).toContain('not-confirmed');
    expect(sent()).toEqual([{}]);
    expect(await dw('groups', 'recover', 'g1', '--yes')).toBe(0);
    expect(sent()).toEqual([{}, {}, { confirm: 't' }]);
  });
});

describe('dw groups, plugins, status', () => {
  it('takes its options before and after the part', async () => {
    answers['POST /v1/groups/g1/transfer'] = { body: {} };
    expect(await dw('groups', 'transfer', 'g1', 'n2')).toBe(0);
    expect(await run(['groups', '--url', url, 'transfer', 'g1', 'n2', '--json'])).toBe(0);
    expect(seen.map(({ body }) => body.toString())).toEqual(['{"to":"n2"}', '{"to":"n2"}']);
  });

  it('switches a plugin', async () => {
    answers['POST /v1/plugins/com.example.p/reload'] = { body: { id: 'com.example.p', state: 'active' } };
    expect(await dw('plugin', 'reload', 'com.example.p')).toBe(0);
    expect(text()).toBe('com.example.p is active\n');
  });

  it('shows one node when there is no cluster, and why it is not ready', async () => {
    answers['GET /healthz'] = { body: { nodeId: 'n1', version: '0.1.0', pid: 7 } };
    answers['GET /readyz'] = {
      status: 503,
      body: { code: 'not-ready', detail: 'no', ready: false, reasons: ['p is failed'] },
    };
    expect(await dw('status', '--json')).toBe(0);
    expect(JSON.parse(text())).toMatchObject({
      nodes: [{ id: 'n1', ready: false, reasons: ['p is failed'] }],
      groups: [],
    });
  });
});

describe('the token', () => {
  it('comes from --token or DW_TOKEN, and the first wins', async () => {
    answers['GET /v1/plugins'] = { body: [] };
    vi.stubEnv('DW_TOKEN', 'from-the-environment');
    await dw('plugins');
    await dw('plugins', '--token', 'from-the-line');
    expect(seen.map(({ headers }) => headers.authorization)).toEqual([
      'Bearer from-the-environment',
      'Bearer from-the-line',
    ]);
  });
});

describe('dw bench', () => {
  it('reports percentiles, and what was refused', async () => {
    answers['GET /v1/limits'] = { body: {} };
    let count = 0;
    answers = new Proxy(answers, {
      get: (target, name: string) =>
        name.startsWith('PUT /v1/kv/bench-')
          ? count++ % 10 === 0
            ? { status: 429, body: { code: 'overloaded' } }
            : { body: { version: 1, group: 'g' } }
          : target[name],
    });
    expect(await dw('bench', '--clients', '4', '--seconds', '1', '--value-bytes', '10', '--json')).toBe(0);
    const result = JSON.parse(text()) as {
      writes: number;
      latencyMs: { p50: number; max: number };
      errors: object;
    };
    expect(result.writes).toBeGreaterThan(0);
    expect(result.latencyMs.p50).toBeLessThanOrEqual(result.latencyMs.max);
    expect(result.errors).toHaveProperty('overloaded');
    expect(seen.at(-1)?.body.length).toBe(10);
  });
});
