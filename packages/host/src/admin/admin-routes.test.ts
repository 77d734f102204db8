import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DwError, InProcessBus, LimitSet, MemoryBackingStore, Type } from '@datawarehouse/sdk';
import type { BusMessage, IScalableSubsystem, Logger } from '@datawarehouse/sdk';
import { HttpServer } from '../http/http-server.js';
import { HOST_OWNER, RouteTable } from '../http/route-table.js';
import type { PluginAdmin, PluginSummary, Readiness } from '../kernel/plugin-admin.js';
import { LimitsService } from '../limits/limits-service.js';
import { registerAdminRoutes } from './admin-routes.js';

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };

const counter: PluginSummary = {
  id: 'com.example.counter',
  name: 'Counter',
  version: '1.0.0',
  package: 'counter',
  state: 'active',
  required: false,
  provides: [],
  requires: [],
  crashes: 0,
};

class StubPlugins implements PluginAdmin {
  readiness_: Readiness = { ready: true, reasons: [] };
  readonly calls: string[] = [];
  state: PluginSummary['state'] = 'active';
  list = (): PluginSummary[] => [{ ...counter, state: this.state }];
  enable = (id: string): Promise<PluginSummary> => this.act('enable', id);
  disable = (id: string): Promise<PluginSummary> => this.act('disable', id);
  reload = (id: string): Promise<PluginSummary> => this.act('reload', id);
  readiness = (): Readiness => this.readiness_;

  private async act(action: string, id: string): Promise<PluginSummary> {
    if (id !== counter.id)
      throw new DwError({ code: 'plugin-unknown', status: 404, message: `no plugin ${id}` });
    this.calls.push(`${action} ${id}`);
    return counter;
  }
}

function subsystem(): IScalableSubsystem {
  const limits = new LimitSet(
    { maxBatch: { unit: 'records', min: 1, max: 100, default: 10, description: 'Records of a batch' } },
    'shipper',
  );
  return {
    subsystemName: 'shipper',
    limitDescriptors: limits.descriptors,
    get currentLimits() {
      return limits.current;
    },
    currentBackpressureState: 'normal',
    getScalingMetrics: () =>
      new Map<string, number | string>([
        ['cache.size', 3],
        ['backpressure.state', 'normal'],
      ]),
    reconfigureLimitsAsync: async (values) => void limits.apply(values),
  };
}

async function start() {
  const routes = new RouteTable();
  const bus = new InProcessBus();
  const limits = new LimitsService({ bus, store: new MemoryBackingStore(), log: silent });
  limits.start();
  await limits.register('com.example.shipper', subsystem());
  const plugins = new StubPlugins();
  const config = { http: { host: '127.0.0.1', port: 0 } };
  const http = new HttpServer({ config, routes, log: silent, limits: { drainMs: 100 } });
  const node = { nodeId: 'n1', clusterId: 'test', version: '0.1.0' };
  const admin = registerAdminRoutes({ routes, plugins, limits, bus, http, node });
  const { url } = await http.listen();
  return { routes, bus, limits, plugins, http, admin, url };
}

let host: Awaited<ReturnType<typeof start>>;
beforeEach(async () => {
  host = await start();
});
afterEach(async () => {
  await host.http.close();
  host.limits.stop();
});

async function call(method: string, path: string, body?: unknown): Promise<{ status: number; body: never }> {
  const response = await fetch(host.url + path, {
    method,
    ...(body !== undefined && {
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json' },
    }),
  });
  const text = await response.text();
  return { status: response.status, body: (text === '' ? undefined : JSON.parse(text)) as never };
}

describe('the host’s own routes', () => {
  it('says that it is alive, and whether and why it is not ready', async () => {
    expect(await call('GET', '/healthz')).toMatchObject({
      status: 200,
      body: { status: 'alive', nodeId: 'n1' },
    });
    expect(await call('GET', '/readyz')).toMatchObject({ status: 200, body: { ready: true } });
    host.plugins.readiness_ = { ready: false, reasons: ['com.example.counter is failed'] };
    expect(await call('GET', '/readyz')).toMatchObject({
      status: 503,
      body: { code: 'not-ready', ready: false, reasons: ['com.example.counter is failed'] },
    });
  });

  it('shows and changes limits, all or nothing', async () => {
    const all = await call('GET', '/v1/limits');
    expect(all.body).toMatchObject({
      shipper: { maxBatch: { value: 10, unit: 'records', min: 1, max: 100 } },
    });
    expect(await call('PATCH', '/v1/limits/shipper', { maxBatch: 20 })).toEqual({
      status: 200,
      body: { applied: { maxBatch: 20 }, previous: { maxBatch: 10 } },
    });
    const wrong = await call('PATCH', '/v1/limits/shipper', { maxBatch: 30, maxBach: 1 });
    expect(wrong).toMatchObject({
      status: 422,
      body: { code: 'limit-unknown', hint: 'did you mean "maxBatch"?' },
    });
    expect(await call('PATCH', '/v1/limits/shipper', { maxBatch: 'many' })).toMatchObject({
      status: 422,
      body: { code: 'limit-out-of-range' },
    });
    expect(await call('PATCH', '/v1/limits/nobody', { maxBatch: 1 })).toMatchObject({ status: 404 });
    expect((await call('GET', '/v1/limits/shipper')).body).toMatchObject({ maxBatch: { value: 20 } });
  });

  it('lets the bounds of HTTP itself be changed, but not so far that nobody could undo it', async () => {
    expect((await call('PATCH', '/v1/limits/http', { maxConcurrentOperations: 1 })).status).toBe(422);
    expect((await call('PATCH', '/v1/limits/http', { maxConcurrentOperations: 16 })).status).toBe(200);
    host.routes.add(
      'slow',
      { method: 'GET', path: '/v1/slow', summary: 'x', handler: () => new Promise(() => {}) },
      (fn) => fn(),
    );
    const client = new AbortController();
    const slow = Array.from({ length: 16 }, () =>
      fetch(`${host.url}/v1/slow`, { signal: client.signal }).catch(() => {}),
    );
    await expect.poll(() => host.http.underWay).toBe(16);
    expect(await call('GET', '/v1/slow')).toMatchObject({ status: 503, body: { code: 'overloaded' } });
    expect((await call('GET', '/healthz')).status).toBe(200);
    expect(host.http.subsystem.currentBackpressureState).toBe('shedding');
    expect(host.http.subsystem.getScalingMetrics().get('connections.open')).toBeGreaterThanOrEqual(16);
    expect((await call('PATCH', '/v1/limits/http', { maxConcurrentOperations: 100 })).status).toBe(200);
    client.abort();
    await Promise.all(slow);
  });

  it('switches plugins', async () => {
    expect((await call('GET', '/v1/plugins')).body).toEqual([counter]);
    expect((await call('POST', '/v1/plugins/com.example.counter/reload')).status).toBe(200);
    expect(host.plugins.calls).toEqual(['reload com.example.counter']);
    expect(await call('POST', '/v1/plugins/nobody/disable')).toMatchObject({
      status: 404,
      body: { code: 'plugin-unknown' },
    });
  });

  it('publishes, and checks what a declared topic may carry', async () => {
    const got: BusMessage[] = [];
    host.bus.subscribe('orders.*', (message) => void got.push(message));
    expect((await call('POST', '/v1/bus/orders.created', { id: 7 })).status).toBe(202);
    await expect.poll(() => got.map(({ payload }) => payload)).toEqual([{ id: 7 }]);
    const wrong = await call('POST', '/v1/bus/dw.cluster.membership.changed', {
      action: 'exploded',
      nodeId: 'n1',
    });
    expect(wrong).toMatchObject({ status: 400, body: { code: 'request-invalid' } });
    expect((wrong.body as { detail: string }).detail).toContain('"joined", "left"');
    expect(await call('POST', '/v1/bus/no%20topic', {})).toMatchObject({
      status: 400,
      body: { code: 'bus-invalid-topic' },
    });
  });

  it('asks and answers', async () => {
    host.bus.respond('sum', ({ payload }) => (payload as number[]).reduce((a, b) => a + b, 0));
    host.bus.respond('never', () => new Promise(() => {}));
    expect(await call('POST', '/v1/bus/sum/send', [1, 2, 3])).toEqual({ status: 200, body: 6 });
    expect(await call('POST', '/v1/bus/nobody/send', {})).toMatchObject({
      status: 404,
      body: { code: 'no-handler' },
    });
    expect(await call('POST', '/v1/bus/never/send?timeoutMs=5', {})).toMatchObject({
      status: 504,
      body: { code: 'timeout' },
    });
    expect(
      await call('POST', '/v1/bus/dw.scaling.reconfigure/send', {
        subsystem: 'shipper',
        limits: { maxBatch: 33 },
      }),
    ).toEqual({ status: 200, body: { applied: { maxBatch: 33 }, previous: { maxBatch: 10 } } });
  });

  it('streams what is published, and leaves no subscription behind', async () => {
    const before = host.bus.statistics().subscriptions;
    const client = new AbortController();
    const response = await fetch(`${host.url}/v1/bus?topics=orders.*,users.>`, { signal: client.signal });
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    let text = '';
    const until = async (wanted: string): Promise<void> => {
      while (!text.includes(wanted)) text += Buffer.from((await reader.read()).value ?? []).toString();
    };
    await until(': listening');
    host.bus.publish('orders.created', { id: 1 });
    host.bus.publish('other', { id: 2 });
    host.bus.publish('users.a.b', { id: 3 });
    await until('"id":3');
    expect(text).toMatch(/event: orders\.created\nid: \d+\ndata: \{.*"payload":\{"id":1\}.*\}\n\n/);
    expect(text).not.toContain('"id":2');
    client.abort();
    await reader.read().catch(() => {});
    await expect.poll(() => host.bus.statistics().subscriptions).toBe(before);
  });

  it('refuses to listen to nonsense', async () => {
    expect(await call('GET', '/v1/bus')).toMatchObject({ status: 400 });
    expect(await call('GET', '/v1/bus?topics=a..b')).toMatchObject({
      status: 400,
      body: { code: 'bus-invalid-topic' },
    });
  });

  it('exports metrics of subsystems, bus, calls and process', async () => {
    await call('GET', '/healthz');
    const text = await (await fetch(`${host.url}/metrics`)).text();
    expect(text).toContain('dw_shipper_cache_size 3\n');
    expect(text).not.toContain('dw_shipper_backpressure_state');
    expect(text).toMatch(/dw_bus_messages_published_total \d+/);
    expect(text).toContain('dw_http_responses_total{method="GET",route="/healthz",status="2xx"} 1');
    expect(text).toContain('dw_http_response_seconds_bucket{method="GET",route="/healthz",le="+Inf"} 1');
    expect(text).toContain('process_cpu_user_seconds_total');
  });

  it('describes every route that is registered now', async () => {
    host.routes.add(
      'com.example.counter',
      {
        method: 'PUT',
        path: '/v1/things/:id',
        summary: 'Set a thing',
        query: Type.Object({ dry: Type.Optional(Type.Boolean()) }),
        body: 'bytes',
        handler: () => ({}),
      },
      (fn) => fn(),
    );
    const { body } = await call('GET', '/openapi.json');
    const paths = (body as { openapi: string; paths: Record<string, Record<string, object>> }).paths;
    expect(Object.keys(paths)).toContain('/v1/limits/{subsystem}');
    expect(paths['/v1/things/{id}']?.['put']).toMatchObject({
      summary: 'Set a thing',
      tags: ['com.example.counter'],
      parameters: [
        { name: 'id', in: 'path', required: true },
        { name: 'dry', in: 'query', required: false },
      ],
    });
  });

  it('never says 404 for what a plugin may serve in a moment', async () => {
    const asked = async (path = '/v1/kv/a'): Promise<unknown> => {
      const { status, body } = await call('GET', path);
      return [status, (body as { code: string }).code];
    };
    expect(await asked()).toEqual([404, 'not-found']);
    host.plugins.state = 'failed';
    expect(await asked()).toEqual([503, 'not-served-now']);
    host.plugins.state = 'disabled';
    expect(await asked()).toEqual([404, 'not-found']);
    host.plugins.readiness_ = { ready: false, reasons: ['it is starting'] };
    expect(await asked()).toEqual([503, 'not-served-now']);
    host.plugins.readiness_ = { ready: true, reasons: [] };
    const route = { method: 'GET', path: '/v1/kv/:key', summary: 'x', handler: () => ({}) } as const;
    const added = host.routes.add('kv', route, (fn) => fn());
    added[Symbol.dispose]();
    expect(await asked()).toEqual([503, 'not-served-now']);
    host.routes.add('kv', route, (fn) => fn());
    expect((await fetch(`${host.url}/v1/kv/a`)).status).toBe(200);
  });

  it('goes away as a whole', () => {
    expect(host.routes.count(HOST_OWNER)).toBeGreaterThan(10);
    host.admin[Symbol.dispose]();
    expect(host.routes.count()).toBe(0);
  });
});
