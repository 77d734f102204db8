// The policies over HTTP, on the plugin as the host runs it.

import { afterEach, describe, expect, it } from 'vitest';
import { BASE, DB, body, start, stopAll } from '../plugin.test.kit.js';

afterEach(stopAll);

describe('the policies over HTTP', () => {
  it('are set with warnings, listed, shown, and removed', async () => {
    const { host, service } = await start();
    const put = await body(host, 'PUT', `${BASE}/db`, { strategies: [{ type: 'retry' }] });
    expect(put).toMatchObject({
      status: 200,
      body: {
        policy: 'db',
        change: 'added',
        source: 'run-time',
        document: { name: 'db', strategies: [{ type: 'retry', maxRetries: 3 }] },
        warnings: [{ rule: 'time-unbounded', severity: 'warning' }],
      },
    });
    expect((await body(host, 'PUT', `${BASE}/db`, DB)).body).toMatchObject({
      change: 'replaced',
      warnings: [],
    });
    await service.execute('db', () => 1, { key: 'shard-1' });
    const listed = (await body(host, 'GET', BASE)).body['policies'] as Record<string, unknown>[];
    expect(listed.find(({ name }) => name === 'db')).toEqual({
      name: 'db',
      source: 'run-time',
      strategies: ['bulkhead', 'circuit-breaker', 'timeout'],
      circuit: 'closed',
      keys: 1,
      inFlight: 0,
      calls: 1,
      failures: 0,
      rejections: 0,
      retries: 0,
      p99Ms: expect.any(Number) as number,
    });
    expect((await body(host, 'GET', `${BASE}/db`)).body).toMatchObject({
      name: 'db',
      setBy: 'http',
      setAt: '2024-01-01T00:00:00.000Z',
      keyCount: 1,
      keys: [{ key: 'shard-1', layers: [{}, { type: 'circuit-breaker', state: { state: 'closed' } }, {}] }],
      findings: [],
    });
    expect((await body(host, 'DELETE', `${BASE}/db`)).body).toMatchObject({
      change: 'removed',
      document: null,
    });
    expect((await body(host, 'GET', `${BASE}/db`)).body).toMatchObject({
      code: 'policy-unknown',
      status: 404,
    });
    expect((await body(host, 'DELETE', `${BASE}/default`)).body).toMatchObject({
      code: 'policy-not-removable',
      status: 409,
    });
  });

  it('are refused with all that is wrong with them, and nothing has changed', async () => {
    const { host } = await start();
    const bad = { strategies: [{ type: 'retry', maxRetries: -1 }, { type: 'nothing' }] };
    const refused = await body(host, 'PUT', `${BASE}/default`, bad);
    expect(refused.status).toBe(422);
    expect(refused.body['code']).toBe('policy-invalid');
    expect((refused.body['details'] as { problems: string[] }).problems).toEqual([
      'strategies[0].maxRetries must be a whole number from 0 to 1000, not -1',
      expect.stringMatching(/^strategies\[1\].type must be one of .*, not "nothing"$/) as string,
    ]);
    expect((await body(host, 'GET', `${BASE}/default`)).body).toMatchObject({ source: 'shipped' });
    expect((await body(host, 'PUT', `${BASE}/db`, { ...DB, name: 'other' })).body).toMatchObject({
      code: 'policy-name-mismatch',
      status: 422,
    });
  });

  it('explain themselves', async () => {
    const { host } = await start();
    expect((await body(host, 'GET', `${BASE}/default/explain`)).body).toMatchObject({
      policy: 'default',
      attempts: 3,
      timeMs: 35_000,
      strategies: [{ name: 'total' }, { type: 'retry' }, { type: 'circuit-breaker' }, { name: 'timeout' }],
    });
  });

  it('are checked and explained before they are set, and nothing has changed', async () => {
    const { host } = await start();
    const before = (await body(host, 'GET', BASE)).body;
    const checked = await body(host, 'POST', '/v1/resilience/explain', { ...DB, name: 'db' });
    expect(checked).toMatchObject({ status: 200, body: { policy: 'db', attempts: 1, timeMs: 30_000 } });
    const bad = await body(host, 'POST', '/v1/resilience/explain', { name: 'db' });
    expect(bad.body).toMatchObject({ code: 'policy-invalid', status: 422 });
    expect((await body(host, 'GET', BASE)).body).toEqual(before);
  });

  it('have breakers that are opened and closed by hand, with the reason kept and the log told', async () => {
    const { host, service } = await start();
    const order = { key: 'a', reason: 'a test' };
    expect((await body(host, 'POST', `${BASE}/default/isolate`, order)).body).toEqual({
      policy: 'default',
      key: 'a',
      circuit: 'open',
    });
    await expect(service.execute('default', () => 1, { key: 'a' })).rejects.toMatchObject({
      code: 'circuit-isolated',
    });
    const { body: shown } = await body(host, 'GET', `${BASE}/default?key=a`);
    expect(JSON.stringify(shown['keys'])).toContain('"reason":"a test"');
    expect((await body(host, 'POST', `${BASE}/default/reset`, { key: 'a' })).body).toMatchObject({
      circuit: 'closed',
    });
    await expect(service.execute('default', () => 1, { key: 'a' })).resolves.toBe(1);
    expect(host.logs.filter(({ fields }) => fields['by'] === 'http').map(({ message }) => message)).toEqual([
      'policy default: isolate by http: a test',
      'policy default: reset by http: by hand',
    ]);
  });
});
