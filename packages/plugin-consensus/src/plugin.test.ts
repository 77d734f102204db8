// The plugin in a context like the host's: manifest, life, health, routes, limits that act, and bus topics.

import { readFileSync } from 'node:fs';
import type {
  AppliedEntry,
  IKeyValueStore,
  IStateMachine,
  PluginContext,
  PluginManifest,
} from '@datawarehouse/sdk';
import {
  CLUSTER_DIRECTORY,
  CONSENSUS_ENGINE,
  KEY_VALUE_STORE,
  PEER_TRANSPORT,
  RESILIENCE,
  sdkCompatibilityOf,
} from '@datawarehouse/sdk';
import type { TestContext } from '@datawarehouse/sdk/testing';
import { MemoryNetwork, createTestContext } from '@datawarehouse/sdk/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { plugin as Plugin } from './index.js';
import type { UltimateConsensusPlugin } from './index.js';
import { CONSENSUS_LIMITS } from './scaling/consensus-limits.js';

const { version, datawarehouse: manifest } = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
) as { version: string; datawarehouse: PluginManifest };

const open: { plugin: UltimateConsensusPlugin; test: TestContext }[] = [];

/** The plugin alone on a node; `peers` are configured and do not answer. */
async function start(peers: readonly string[] = [], config: Record<string, unknown> = {}) {
  const test = createTestContext({ manifest, config });
  const network = new MemoryNetwork({ nodes: ['n1', ...peers], clock: test.clock });
  const node = (id: string) => ({
    id,
    http: undefined,
    peer: `${id}.test:7500`,
    state: 'alive' as const,
    version: undefined,
    pid: undefined,
  });
  const nodes = ['n1', ...peers].map(node);
  test.provide(PEER_TRANSPORT, network.transport('n1'));
  test.provide(CLUSTER_DIRECTORY, {
    localId: 'n1',
    nodes: () => nodes,
    node: (id: string) => nodes.find((each) => each.id === id),
    admit: () => {},
    dismiss: () => false,
    onChanged: () => ({ [Symbol.dispose]: () => {} }),
  });
  const plugin = new Plugin();
  open.push({ plugin, test });
  await plugin.initializeAsync(test.context);
  await plugin.activateAsync();
  return { plugin, test };
}

/**
 * Lets the disk, which is a real one, go on until the promise settles. Time stands still unless the test wants what only
 * time brings: a slow disk must not run into a time limit.
 */
async function settle<T>(test: TestContext, promise: Promise<T>, stepMs = 0): Promise<T> {
  let done = false;
  const mark = (): void => {
    done = true;
  };
  promise.then(mark, mark);
  while (!done) await test.advance(stepMs);
  return promise;
}

async function healthy(plugin: UltimateConsensusPlugin, test: TestContext): Promise<void> {
  // A node that was started before keeps the promises of that life for a while, so time must pass.
  while (plugin.checkHealthAsync().status !== 'healthy') await test.advance(10);
}

afterEach(async () => {
  for (const { plugin, test } of open.splice(0)) {
    await plugin.shutdownAsync();
    await test.dispose();
    test.assertNoFailures();
    test.assertNoLeaks();
  }
});

describe('the manifest', () => {
  it('says what the code does', () => {
    const instance = new Plugin();
    expect(manifest.id).toBe(instance.id);
    expect(version).toBe(instance.version);
    expect(manifest.limits).toEqual(CONSENSUS_LIMITS);
    expect(manifest.provides).toEqual([CONSENSUS_ENGINE.id, KEY_VALUE_STORE.id]);
    expect(manifest.requires).toEqual([PEER_TRANSPORT.id, CLUSTER_DIRECTORY.id]);
    expect(manifest.optional).toEqual([RESILIENCE.id]);
    expect(manifest.replaces).toEqual({ 'com.datawarehouse.raft': { groups: 1 } });
    expect(sdkCompatibilityOf(Plugin)).toBe('1.0.0');
    expect(instance.infrastructureDomain).toBe('Consensus');
  });
});

describe('a node alone', () => {
  it('becomes healthy, serves the key-value routes, and leaves nothing behind', async () => {
    const { plugin, test } = await start();
    await healthy(plugin, test);
    expect(await plugin.isLeaderAsync()).toBe(true);
    const put = await settle(
      test,
      test.request('PUT', '/v1/kv/a%2Fb%20c', {
        body: Buffer.from('hello'),
        headers: { 'if-none-match': '*' },
      }),
    );
    expect(put.status).toBe(200);
    const { version: written, group } = put.body as { version: number; group: string };
    expect(group).toMatch(/^group-[123]$/);
    const get = await settle(test, test.request('GET', '/v1/kv/a%2Fb%20c'));
    expect(get.status).toBe(200);
    expect(get.headers['etag']).toBe(`"${written}"`);
    expect(Buffer.from(get.body as Uint8Array).toString()).toBe('hello');
    const again = await settle(
      test,
      test.request('PUT', '/v1/kv/a%2Fb%20c', { body: Buffer.from('x'), headers: { 'if-none-match': '*' } }),
    );
    expect(again).toMatchObject({
      status: 412,
      body: { code: 'version-mismatch', details: { currentVersion: written } },
    });
    const list = await settle(test, test.request('GET', '/v1/kv?prefix=a/'));
    expect(list.body).toEqual({ items: [{ key: 'a/b c', version: written }], next: null });
    const gone = await settle(
      test,
      test.request('DELETE', '/v1/kv/a%2Fb%20c', { headers: { 'if-match': `"${written}"` } }),
    );
    expect(gone).toMatchObject({ status: 200, body: { existed: true, group } });
    expect(await settle(test, test.request('GET', '/v1/kv/a%2Fb%20c'))).toMatchObject({
      status: 404,
      body: { code: 'key-not-found' },
    });
  });

  it('shows its groups, takes snapshots on request, and names what it does not know', async () => {
    const { plugin, test } = await start();
    await healthy(plugin, test);
    const { body } = await test.request('GET', '/v1/groups');
    expect((body as { id: string }[]).map(({ id }) => id)).toEqual(['group-1', 'group-2', 'group-3']);
    expect((body as unknown[])[0]).toMatchObject({
      leader: 'n1',
      term: 1,
      voters: ['n1'],
      learners: [],
      firstIndex: 1,
      stateHash: expect.stringMatching(/^[0-9a-f]{16}$/),
    });
    await settle(test, plugin.proposeToGroupAsync('group-1', Buffer.from('x')));
    const taken = await settle(test, test.request('POST', '/v1/groups/group-1/snapshot'));
    expect(taken.status).toBe(200);
    const { index } = taken.body as { index: number };
    const after = (await test.request('GET', '/v1/groups')).body as { firstIndex: number }[];
    expect(after[0]?.firstIndex).toBe(index + 1);
    expect(await test.request('POST', '/v1/groups/group-9/snapshot')).toMatchObject({
      status: 404,
      body: { code: 'group-unknown' },
    });
    const transfer = test.request('POST', '/v1/groups/group-1/transfer', { body: { to: 'n7' } });
    expect(await settle(test, transfer)).toMatchObject({
      status: 422,
      body: { code: 'transfer-target-invalid' },
    });
  });

  it('refuses bad requests with a status and a code', async () => {
    const { plugin, test } = await start();
    await healthy(plugin, test);
    const put = (path: string, headers: Record<string, string>, body = 'x') =>
      settle(test, test.request('PUT', path, { body: Buffer.from(body), headers }));
    expect(await put('/v1/kv/a', { 'if-match': 'nonsense' })).toMatchObject({ status: 400 });
    expect(await put('/v1/kv/a', { 'idempotency-key': 'k'.repeat(129) })).toMatchObject({ status: 400 });
    expect(await put(`/v1/kv/${'k'.repeat(1_025)}`, {})).toMatchObject({
      status: 400,
      body: { code: 'key-invalid' },
    });
    await put('/v1/kv/a', { 'idempotency-key': 'k' });
    expect(await put('/v1/kv/a', { 'idempotency-key': 'k' }, 'other')).toMatchObject({
      status: 422,
      body: { code: 'idempotency-key-reused' },
    });
    expect(await settle(test, test.request('GET', '/v1/kv/a?consistency=maybe'))).toMatchObject({
      status: 400,
    });
    expect(await settle(test, test.request('GET', '/v1/kv?limit=1001'))).toMatchObject({ status: 400 });
  });

  it('finds its data again, and keeps its groups when the configuration names others', async () => {
    const first = await start();
    await healthy(first.plugin, first.test);
    await settle(first.test, first.test.request('PUT', '/v1/kv/a', { body: Buffer.from('kept') }));
    await first.plugin.shutdownAsync();
    // The same directory and store, another life of the plugin.
    const second = new Plugin();
    const { context } = first.test;
    const network = new MemoryNetwork({ nodes: ['n1'], clock: first.test.clock });
    const provided = new Map<string, unknown>();
    const services = {
      tryGet: () => undefined,
      get: (token: { id: string }) =>
        token.id === PEER_TRANSPORT.id ? network.transport('n1') : context.services.get(CLUSTER_DIRECTORY),
      provide: (token: { id: string }, service: unknown) => void provided.set(token.id, service),
    };
    const nothing = { [Symbol.dispose]: () => undefined };
    await second.initializeAsync({
      ...context,
      config: { groups: 5 },
      dataDir: context.dataDir,
      services: services as PluginContext['services'],
      routes: { add: () => nothing },
      scaling: { register: async () => nothing },
    });
    await second.activateAsync();
    await healthy(second, first.test);
    const store = provided.get(KEY_VALUE_STORE.id) as IKeyValueStore;
    const found = await settle(first.test, store.getAsync('a'));
    expect(Buffer.from(found!.value).toString()).toBe('kept');
    expect(first.test.logs.some((line) => /groups on disk/.test(line.message))).toBe(true);
    await second.shutdownAsync();
  });

  it('announces leaders and groups on the bus', async () => {
    const seen: string[] = [];
    const running = await start();
    running.test.bus.subscribe('dw.consensus.>', ({ topic, payload }) => {
      seen.push(`${topic} ${(payload as { groupId: string }).groupId}`);
    });
    await healthy(running.plugin, running.test);
    await running.test.advance(20);
    expect(seen).toContain('dw.consensus.leader.changed group-1');
  });

  it('proposes opaque data to its first group', async () => {
    const { plugin, test } = await start();
    await healthy(plugin, test);
    const result = await settle(test, plugin.proposeAsync(Buffer.from('x')));
    expect(result).toMatchObject({ success: true, leaderId: 'n1' });
    expect(result.logIndex).toBeGreaterThan(0);
    await expect(plugin.proposeToGroupAsync('group-9', Buffer.from('x'))).rejects.toMatchObject({
      code: 'group-unknown',
    });
    expect(await plugin.getStateAsync()).toMatchObject({ state: 'leader', leaderId: 'n1' });
    expect(await plugin.getClusterHealthAsync()).toEqual({
      totalNodes: 1,
      healthyNodes: 1,
      nodeStates: { n1: 'alive' },
    });
  });
});

describe('sessions over HTTP', () => {
  it('apply a write once, however late it is repeated, and refuse what cannot be told', async () => {
    const { plugin, test } = await start();
    await healthy(plugin, test);
    const opened = await settle(test, test.request('POST', '/v1/sessions', { body: { key: 'a' } }));
    expect(opened.status).toBe(200);
    const { session, group } = opened.body as { session: number; group: string };
    const put = (text: string, key: string, place: string) =>
      settle(
        test,
        test.request('PUT', `/v1/kv/${key}`, {
          body: Buffer.from(text),
          headers: { 'idempotency-key': `session/${place}` },
        }),
      );
    const first = await put('one', 'a', `${group}/${session}/1`);
    expect(first).toMatchObject({ status: 200 });
    await put('two', 'a', `${group}/${session}/2`);
    expect(await put('one', 'a', `${group}/${session}/1`)).toMatchObject({ status: 200, body: first.body });
    expect(await put('other', 'a', `${group}/${session}/1`)).toMatchObject({
      status: 422,
      body: { code: 'sequence-reused' },
    });
    await put('three', 'a', `${group}/${session}/3/3`);
    expect(await put('one', 'a', `${group}/${session}/1`)).toMatchObject({
      status: 409,
      body: { code: 'sequence-acknowledged' },
    });
    expect(await put('x', 'a', `group-0/${session}/4`)).toMatchObject({
      status: 409,
      body: { code: 'session-of-other-group' },
    });
    const closed = await settle(test, test.request('DELETE', `/v1/sessions/${group}/${session}`));
    expect(closed).toMatchObject({ status: 200 });
    expect(await put('x', 'a', `${group}/${session}/5`)).toMatchObject({
      status: 410,
      body: { code: 'session-expired' },
    });
    const read = await settle(test, test.request('GET', '/v1/kv/a'));
    expect(Buffer.from(read.body as Uint8Array).toString()).toBe('three');
    expect(await settle(test, test.request('POST', '/v1/sessions', { body: {} }))).toMatchObject({
      status: 400,
    });
    const unknown = await settle(test, test.request('POST', '/v1/sessions', { body: { group: 'group-9' } }));
    expect(unknown).toMatchObject({ status: 404 });
  });
});

describe('a state machine of another plugin', () => {
  /** Counts bytes, and breaks at one command. */
  class Fragile implements IStateMachine {
    private bytes = 0;

    apply({ data }: AppliedEntry): Uint8Array {
      if (Buffer.from(data).toString() === 'break') throw new Error('cannot take this');
      this.bytes += data.length;
      return Buffer.from(`${this.bytes}`);
    }

    snapshot(): Iterable<Uint8Array> {
      return [Buffer.from(`${this.bytes}`)];
    }

    async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
      let text = '';
      for await (const chunk of chunks) text += Buffer.from(chunk).toString();
      this.bytes = Number(text);
    }
  }

  it('gets a group of its own, and one that breaks is named everywhere while the keys are served', async () => {
    const { plugin, test } = await start();
    await healthy(plugin, test);
    const engine = test.service(CONSENSUS_ENGINE)!;
    const fragile = engine.registerStateMachine('fragile', () => new Fragile());
    // The group is made and elects its leader in its own time; only then does the test ask.
    const led = (): boolean => {
      try {
        return engine.status(fragile.groupId).leaderId !== undefined;
      } catch (error) {
        expect(error).toMatchObject({ code: 'group-unknown' });
        return false;
      }
    };
    while (!led()) await test.advance(10);
    const answer = await settle(test, fragile.proposeAsync(Buffer.from('abc')));
    expect(Buffer.from(answer.data!).toString()).toBe('3');
    expect(engine.groupIds()).toContain('machine-fragile');
    const broken = fragile.proposeAsync(Buffer.from('break')).catch((error: unknown) => error);
    expect(await settle(test, broken)).toMatchObject({ code: 'outcome-unknown' });
    const named = /entry \d+ of term \d+, proposed by n1: cannot take this/;
    // The disk is a real one, and slow beside a clock that a test turns: the leaders may have given up meanwhile.
    while (plugin.checkHealthAsync().status === 'unhealthy') await test.advance(10);
    expect(plugin.checkHealthAsync()).toMatchObject({
      status: 'degraded',
      message: expect.stringMatching(named),
    });
    const { body } = await settle(test, test.request('GET', '/v1/groups'));
    const shown = (body as { id: string }[]).find(({ id }) => id === 'machine-fragile');
    expect(shown).toMatchObject({
      machine: 'fragile',
      state: 'group-failed',
      error: expect.stringMatching(named),
    });
    expect(await settle(test, test.request('PUT', '/v1/kv/a', { body: Buffer.from('x') }))).toMatchObject({
      status: 200,
    });
    await settle(test, fragile[Symbol.asyncDispose]());
    expect(plugin.checkHealthAsync()).toMatchObject({
      status: 'degraded',
      message: 'waiting for their state machines: machine-fragile',
    });
    // The repaired machine is given the same entry again.
    class Repaired extends Fragile {
      override apply(entry: AppliedEntry): Uint8Array {
        return super.apply({ ...entry, data: Buffer.from('ok') });
      }
    }
    const repaired = engine.registerStateMachine('fragile', () => new Repaired());
    while (!led()) await test.advance(10);
    const again = await settle(test, repaired.proposeAsync(Buffer.from('x')));
    expect(Buffer.from(again.data!).toString()).toBe('6');
  });
});

describe('limits', () => {
  it('act when they are changed', async () => {
    const { plugin, test } = await start();
    await healthy(plugin, test);
    const put = (body: string) => settle(test, test.request('PUT', '/v1/kv/a', { body: Buffer.from(body) }));
    expect(await put('123456789')).toMatchObject({ status: 200 });
    await plugin.scaling.reconfigureLimitsAsync({ maxValueBytes: 8 });
    expect(await put('123456789')).toMatchObject({ status: 413 });
    await plugin.scaling.reconfigureLimitsAsync({ minElectionTimeoutMs: 2_500 });
    expect(plugin.scaling.getScalingMetrics().get('election.timeoutMs')).toBe(2_500);
    await expect(plugin.scaling.reconfigureLimitsAsync({ maxValueBytes: 0 })).rejects.toMatchObject({
      code: 'limit-out-of-range',
    });
    expect(plugin.scaling.currentLimits['maxValueBytes']).toBe(8);
  });

  it('come with metrics that always hold the standard keys', async () => {
    const { plugin } = await start();
    const metrics = plugin.scaling.getScalingMetrics();
    for (const key of [
      'cache.size',
      'cache.hitRate',
      'cache.memoryBytes',
      'backpressure.state',
      'backpressure.queueDepth',
      'groups.count',
      'group.group-1.logEntries',
      'elections.total',
      'rtt.p99Ms',
      'commit.p99Ms',
    ]) {
      expect(metrics.has(key), key).toBe(true);
    }
    expect(new Plugin().scaling.getScalingMetrics().get('cache.size')).toBe(0);
  });
});

describe('a node whose peers do not answer', () => {
  it('is not ready, says for whom it waits, and answers writes with no-leader', async () => {
    const { plugin, test } = await start(['n2', 'n3']);
    expect(plugin.checkHealthAsync()).toEqual({
      status: 'unhealthy',
      message: expect.stringContaining('waiting to hear from n2, n3') as string,
    });
    const put = await settle(test, test.request('PUT', '/v1/kv/a', { body: Buffer.from('x') }), 10);
    expect(put).toMatchObject({ status: 503, body: { code: 'no-leader', retryable: true } });
    const get = await settle(test, test.request('GET', '/v1/kv/a'), 10);
    expect(get).toMatchObject({ status: 503 });
    const stale = await settle(test, test.request('GET', '/v1/kv/a?consistency=stale'), 10);
    expect(stale).toMatchObject({ status: 503 });
    expect(await plugin.isLeaderAsync()).toBe(false);
  });
});
