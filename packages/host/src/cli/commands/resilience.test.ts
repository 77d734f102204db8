import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { run } from '../run.js';

const BASE = '/v1/resilience/policies';

let server: Server;
let url: string;
let seen: { readonly method: string; readonly url: string; readonly body: string }[];
/** Answers by `METHOD /path`; anything else is 404. Text is sent as it is. */
let answers: Record<string, unknown>;
let out: string;
let err: string;
let directory: string;

beforeEach(async () => {
  seen = [];
  answers = {};
  out = '';
  err = '';
  directory = await mkdtemp(join(tmpdir(), 'dw-resilience-'));
  server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method = '', url = '' } = request;
      seen.push({ method, url, body: Buffer.concat(chunks).toString() });
      const answer = answers[`${method} ${url.split('?')[0] ?? ''}`];
      response.writeHead(answer === undefined ? 404 : 200);
      if (answer === undefined) response.end('{"code":"policy-unknown","detail":"there is no such policy"}');
      else response.end(typeof answer === 'string' ? answer : JSON.stringify(answer));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  vi.spyOn(process.stdout, 'write').mockImplementation(((chunk: string, done?: () => void) => {
    out += chunk;
    done?.();
    return true;
  }) as never);
  vi.spyOn(process.stderr, 'write').mockImplementation(((text: string) => {
    err += text;
    return true;
  }) as never);
});

afterEach(async () => {
  vi.restoreAllMocks();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await rm(directory, { recursive: true });
});

const dw = (...args: string[]): Promise<number> => run(['resilience', ...args, '--url', url]);
const WARNING = {
  rule: 'time-unbounded',
  severity: 'warning',
  message: 'nothing bounds it',
  why: 'it hangs',
};

describe('dw resilience list', () => {
  it('shows the policies, and what is kept and cannot be used', async () => {
    answers[`GET ${BASE}`] = {
      policies: [
        {
          name: 'db',
          source: 'run-time',
          strategies: ['retry', 'circuit-breaker'],
          circuit: 'open',
          keys: 2,
          inFlight: 0,
          calls: 10,
          failures: 3,
          rejections: 4,
          retries: 5,
          p99Ms: 12.4,
        },
      ],
      unusable: { old: 'it names\u001b[31m no strategy' },
    };
    expect(await dw('list')).toBe(0);
    expect(out).toBe(
      'POLICY  FROM      CIRCUIT  CALLS  FAILED  REJECTED  RETRIES  P99 MS  KEYS  STRATEGIES\n' +
        'db      run-time  open        10       3         4        5      12     2  retry > circuit-breaker\n',
    );
    expect(err).toBe('dw: policy old is kept but not in force: it names\ufffd[31m no strategy\n');
    out = '';
    expect(await dw('list', '--json')).toBe(0);
    expect(JSON.parse(out)).toEqual(answers[`GET ${BASE}`]);
  });
});

describe('dw resilience show', () => {
  it('shows strategies, counters, and for each key why its breaker changed', async () => {
    answers[`GET ${BASE}/db`] = {
      name: 'db',
      source: 'run-time',
      setBy: 'http',
      setAt: '2024-01-01T00:00:00.000Z',
      circuit: 'open',
      statistics: {
        calls: 9,
        successes: 4,
        failures: 3,
        rejections: 2,
        cancelled: 0,
        retries: 1,
        inFlight: 0,
        p50Ms: 1.23,
        p99Ms: 9,
      },
      strategies: [
        {
          name: 'circuit-breaker',
          type: 'circuit-breaker',
          options: { type: 'circuit-breaker', dryRun: false, breakMs: 500, window: { kind: 'count' } },
          counters: { opened: 1, rejected: 0 },
        },
      ],
      keyCount: 3,
      keys: [
        {
          key: 'a',
          running: 1,
          layers: [
            {
              name: 'circuit-breaker',
              type: 'circuit-breaker',
              state: {
                state: 'open',
                remainingMs: 99.5,
                transitions: [
                  { at: 0, previous: 'closed', current: 'open', reason: '5 failures', source: 'calls' },
                ],
              },
            },
          ],
        },
        { key: '', running: 0, layers: [] },
      ],
      findings: [WARNING],
    };
    expect(await dw('show', 'db', '--key', 'a b')).toBe(0);
    expect(seen[0]?.url).toBe(`${BASE}/db?key=a%20b`);
    expect(out).toContain('db (run-time, by http at 2024-01-01T00:00:00.000Z)\n');
    expect(out).toContain(
      'circuit-breaker\n  options  breakMs=500 window={"kind":"count"}\n  counted  opened=1\n',
    );
    expect(out).toMatch(/a +1 +open +100 +1970-01-01T00:00:00.000Z closed > open: 5 failures\n/);
    expect(out).toContain('(the empty key)');
    expect(out).toContain('and 1 more keys\n');
    expect(out).toContain('warning: nothing bounds it: it hangs (time-unbounded)\n');
  });

  it('is 1 for a policy that is not there', async () => {
    expect(await dw('show', 'none')).toBe(1);
    expect(err).toContain('(policy-unknown)');
  });
});

describe('dw resilience explain', () => {
  it('shows the worst case, layer by layer', async () => {
    answers[`GET ${BASE}/db/explain`] = {
      summary: 'one call makes at most 4 attempts and takes at most 40 s',
      strategies: [
        { name: 'retry', attempts: 4, timeMs: 40_000, does: 'tries again' },
        { name: 'bulkhead', attempts: 1, timeMs: null, does: 'lets 10 in' },
      ],
      findings: [],
    };
    answers['POST /v1/resilience/explain'] = answers[`GET ${BASE}/db/explain`];
    const file = join(directory, 'policy.json');
    await writeFile(file, '{"name":"db","strategies":[]}');
    expect(await dw('check', file)).toBe(0);
    expect(seen[0]?.body).toBe('{"name":"db","strategies":[]}');
    const checked = out;
    out = '';
    expect(await dw('explain', 'db')).toBe(0);
    expect(checked).toBe(out);
    expect(out).toBe(
      'STRATEGY  ATTEMPTS  AT MOST    WHAT IT DOES\n' +
        'retry            4  40000 ms   tries again\n' +
        'bulkhead         1  unbounded  lets 10 in\n' +
        '\nAt worst one call makes at most 4 attempts and takes at most 40 s.\n',
    );
  });
});

describe('dw resilience set', () => {
  const document = { name: 'my.db', strategies: [{ type: 'retry' }] };

  it('takes a file or standard input, and prints the warnings', async () => {
    const answer = { policy: 'my.db', change: 'added', source: 'run-time', warnings: [WARNING] };
    answers[`PUT ${BASE}/my.db`] = answer;
    const file = join(directory, 'policy.json');
    await writeFile(file, JSON.stringify(document));
    expect(await dw('set', file)).toBe(0);
    expect(out).toBe('policy my.db was added\nwarning: nothing bounds it: it hangs (time-unbounded)\n');
    vi.spyOn(process, 'stdin', 'get').mockReturnValue(
      Readable.from([Buffer.from(JSON.stringify(document))]) as never,
    );
    out = '';
    expect(await dw('set', '-', '--json')).toBe(0);
    expect(JSON.parse(out)).toEqual(answer);
    expect(seen.map(({ body }) => JSON.parse(body) as unknown)).toEqual([document, document]);
  });

  it.each([
    ['{', 'is not JSON'],
    ['[]', 'has no "name"'],
    ['null', 'has no "name"'],
  ])('is wrong usage with a file that holds %s', async (text, why) => {
    const file = join(directory, 'policy.json');
    await writeFile(file, text);
    expect(await dw('set', file)).toBe(2);
    expect(err).toContain(why);
    expect(seen).toEqual([]);
  });

  it('is wrong usage with a file that is not there', async () => {
    expect(await dw('set', join(directory, 'none.json'))).toBe(2);
    expect(err).toContain('cannot be read');
  });
});

describe('dw resilience remove, isolate, reset', () => {
  it('remove says what holds afterwards', async () => {
    answers[`DELETE ${BASE}/db`] = { policy: 'db', change: 'removed', source: null, warnings: [] };
    answers[`DELETE ${BASE}/default`] = {
      policy: 'default',
      change: 'restored',
      source: 'shipped',
      warnings: [],
    };
    expect(await dw('remove', 'db')).toBe(0);
    expect(await dw('remove', 'default')).toBe(0);
    expect(out).toBe('policy db was removed\npolicy default is again the one that is shipped\n');
  });

  it('send key and reason', async () => {
    answers[`POST ${BASE}/db/isolate`] = { policy: 'db', key: 'a', circuit: 'open' };
    answers[`POST ${BASE}/db/reset`] = { policy: 'db', key: null, circuit: 'closed' };
    expect(await dw('isolate', 'db', '--key', 'a', '--reason', 'upgrade')).toBe(0);
    expect(await dw('reset', 'db')).toBe(0);
    expect(seen.map(({ body }) => body)).toEqual(['{"key":"a","reason":"upgrade"}', '{}']);
    expect(out).toBe(
      'db: the breakers of key a are isolated: no call goes through until they are reset\n' +
        'db: the breakers of every key are reset\n',
    );
  });
});

describe('dw resilience try', () => {
  const events = [
    {
      kind: 'start',
      policy: 'p',
      url: 'http://t/',
      key: 'try:t',
      calls: 2,
      concurrency: 1,
      circuit: 'closed',
    },
    {
      kind: 'circuit',
      atMs: 10,
      strategy: 'circuit-breaker',
      previous: 'closed',
      current: 'open',
      reason: 'it failed',
      breakMs: 30_000,
    },
    {
      kind: 'call',
      n: 1,
      atMs: 0,
      outcome: 'failed',
      status: 503,
      code: 'try-answer-failed',
      message: 'the answer has status 503',
      ms: 10,
      attempts: 2,
      circuit: 'open',
    },
    {
      kind: 'call',
      n: 2,
      atMs: 200,
      outcome: 'rejected',
      code: 'circuit-open',
      ms: 0,
      attempts: 0,
      circuit: 'open',
    },
    { kind: 'done', ended: 'all-made', ms: 210, calls: 2, succeeded: 0, failed: 1, rejected: 1, attempts: 2 },
  ];
  const stream = (some: readonly object[]): string =>
    some.map((event) => `event: x\ndata: ${JSON.stringify(event)}\n\n`).join('');

  it('prints a line for each call where nobody watches a terminal', async () => {
    answers[`POST ${BASE}/p/try`] = stream(events);
    expect(await dw('try', 'p', 'http://t/', '--calls', '2', '--interval', '0', '--head')).toBe(0);
    expect(JSON.parse(seen[0]?.body ?? '')).toEqual({
      url: 'http://t/',
      calls: 2,
      concurrency: 1,
      intervalMs: 0,
      method: 'HEAD',
    });
    expect(out).toBe(
      '2 calls of http://t/ under policy p, key try:t, breaker closed\n' +
        '0.0 s  circuit-breaker closed -> open for 30.0 s: it failed\n' +
        '0.0 s  call 1 failed: status 503, 2 attempts, 10 ms, breaker open\n' +
        '0.2 s  call 2 rejected: circuit-open, 0 attempts, 0 ms, breaker open\n' +
        '2 calls in 0.2 s: 0 succeeded, 1 failed, 1 rejected; 2 attempts reached the URL\n',
    );
  });

  it('prints each event as JSON for machines', async () => {
    answers[`POST ${BASE}/p/try`] = stream(events);
    expect(await dw('try', 'p', 'http://t/', '--json')).toBe(0);
    expect(
      out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown),
    ).toEqual(events);
  });

  it('draws one table on a terminal, no wider than it', async () => {
    answers[`POST ${BASE}/p/try`] = stream(events);
    const { isTTY, columns } = process.stdout;
    Object.assign(process.stdout, { isTTY: true, columns: 60 });
    try {
      expect(await dw('try', 'p', 'http://t/')).toBe(0);
    } finally {
      Object.assign(process.stdout, { isTTY, columns });
    }
    const last = out.slice(out.lastIndexOf('\u001b[0J') + 4);
    expect(last).toMatch(/^OPEN +2\/2 +0 +1 +1 +2$/m);
    expect(last).toMatch(/^ +1 +0.0 s +failed +status 503 +2 +10 +open$/m);
    expect(last).toMatch(/^ +2 +0.2 s +rejected +circuit-open +0 +0 +open$/m);
    expect(last).toContain('0.0 s  circuit-breaker closed -> open for 30.0 s: it failed');
    for (const line of last.split('\n')) expect(line.length).toBeLessThan(60);
  });

  it('is 1 when the run is cut short, or refused', async () => {
    answers[`POST ${BASE}/p/try`] = stream(events.slice(0, 3));
    expect(await dw('try', 'p', 'http://t/')).toBe(1);
    expect(err).toContain('(try-cut-short)');
    expect(await dw('try', 'none', 'http://t/')).toBe(1);
    expect(err).toContain('(policy-unknown)');
    expect(await dw('try', 'p')).toBe(2);
    expect(await dw('try', 'p', 'http://t/', '--calls', '0')).toBe(2);
  });
});
