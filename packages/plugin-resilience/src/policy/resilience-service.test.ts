// Policies by name: calling, changing, removing, isolating, and what an operator sees.

import type { ResilienceEvent } from '@datawarehouse/sdk';
import { describe, expect, it } from 'vitest';
import { Gate, Held, Switch, gate, plain, settle, testService, turns } from '../testing/policy.test.kit.js';
import { readPolicyDocument } from './document.js';
import { STRATEGY_CLASSES } from './strategy-classes.js';

const breaker = plain('circuit-breaker');

describe('calling a policy', () => {
  it('by its name, as an object, and as a function', async () => {
    const { service } = testService();
    service.set({ name: 'db', strategies: [gate(1)] });
    await expect(service.execute('db', () => 1)).resolves.toBe(1);
    await expect(service.policy('db').execute(async () => 2)).resolves.toBe(2);
    await expect(service.wrap((a: number, b: number) => a + b, 'db')(1, 2)).resolves.toBe(3);
    const keyed = service.wrap(
      (id: string) => id,
      'db',
      (id) => ({ key: id }),
    );
    await expect(keyed('shard-1')).resolves.toBe('shard-1');
    expect(service.show('db').keys.map(({ key }) => key)).toEqual(['', 'shard-1']);
  });

  it('takes a signal alone, as it always did, and options', async () => {
    const { service } = testService();
    service.set({ name: 'db', strategies: [gate(1)] });
    const controller = new AbortController();
    const { signal } = controller;
    const results = [
      service.policy('db').execute(() => new Promise(() => {}), signal),
      service.execute('db', () => new Promise(() => {}), { signal, key: 'k' }),
    ];
    controller.abort(new Error('enough'));
    for (const result of results) await expect(result).rejects.toThrow('enough');
    expect(service.stats()[0]).toMatchObject({ calls: 2, cancelled: 2, failures: 0, inFlight: 0 });
  });

  it('that is not there is refused, and says which are', async () => {
    const { service } = testService();
    service.set({ name: 'db', strategies: [] });
    await expect(service.execute('bd', () => 1)).rejects.toMatchObject({ code: 'policy-unknown' });
    expect(() => service.policy('bd')).toThrow('there are db');
    await expect(service.wrap(() => 1, 'bd')()).rejects.toMatchObject({ code: 'policy-unknown' });
  });

  it('that was removed is refused, also by whoever holds it; its calls go on', async () => {
    const { service } = testService();
    service.set({ name: 'db', strategies: [gate(1)] });
    const policy = service.policy('db');
    const held = new Held<string>();
    const first = policy.execute(held.action);
    const second = policy.execute(held.action);
    service.remove('db');
    await expect(policy.execute(() => 1)).rejects.toMatchObject({ code: 'policy-unknown' });
    expect(() => service.remove('db')).toThrow('no resilience policy');
    held.end('one');
    await expect(first).resolves.toBe('one');
    held.end('two');
    await expect(second).resolves.toBe('two');
    expect(service.instances.size).toBe(0);
  });

  it('has an instance for each key', async () => {
    const { service } = testService();
    service.set({ name: 'db', strategies: [gate(1)] });
    const held = new Held<string>();
    const a = service.execute('db', held.action, { key: 'a' });
    const b = service.execute('db', held.action, { key: 'b' });
    expect(held.runs).toBe(2);
    held.end('a');
    held.end('b');
    await expect(Promise.all([a, b])).resolves.toEqual(['a', 'b']);
  });

  it('fails with the very error of the action, though it throws at whoever looks at it', async () => {
    const throwing = (): never => {
      throw new Error('do not look');
    };
    const error = new Proxy(new Error('down'), { get: throwing, has: throwing, getPrototypeOf: throwing });
    const { service } = testService({ strategies: STRATEGY_CLASSES });
    const types = ['circuit-breaker', 'bulkhead', 'timeout', 'hedge', 'rate-limit', 'coalesce'];
    service.set(readPolicyDocument({ name: 'db', strategies: types.map((type) => ({ type })) }));
    const outcome = await service
      .execute('db', () => Promise.reject(error))
      .then(
        () => 'resolved',
        (thrown: unknown) => thrown === error,
      );
    expect(outcome).toBe(true);
    expect(service.stats()[0]).toMatchObject({ failures: 1, inFlight: 0 });
  });

  it('with a key that is no name is refused', async () => {
    const { service } = testService();
    service.set({ name: 'db', strategies: [] });
    const key = 'x'.repeat(513);
    await expect(service.execute('db', () => 1, { key })).rejects.toMatchObject({
      code: 'resilience-key-invalid',
    });
  });
});

it('a call that is none rejects, and throws nothing at once, whatever it is given', async () => {
  const { service } = testService();
  service.set({ name: 'db', strategies: [] });
  const hostile = {
    get key(): string {
      throw new Error('do not look');
    },
  };
  const options: [unknown, unknown][] = [
    [null, { code: 'resilience-call-invalid', message: expect.stringContaining('not null') as string }],
    ['soon', { code: 'resilience-call-invalid', message: expect.stringContaining('AbortSignal') as string }],
    [7, { code: 'resilience-call-invalid' }],
    [hostile, { message: 'do not look' }],
    [{ key: 7 }, { code: 'resilience-key-invalid' }],
  ];
  for (const [given, error] of options) {
    await expect(service.execute('db', () => 1, given as never)).rejects.toMatchObject(error as object);
    await expect(service.policy('db').execute(() => 1, given as never)).rejects.toMatchObject(
      error as object,
    );
    await expect(
      service.wrap(
        () => 1,
        'db',
        () => given as never,
      )(),
    ).rejects.toMatchObject(error as object);
  }
  for (const action of [undefined, null, 'run']) {
    await expect(service.execute('db', action as never)).rejects.toMatchObject({
      code: 'resilience-call-invalid',
      message: expect.stringContaining('must be a function') as string,
    });
  }
  for (const name of [undefined, 7n, Symbol('db'), {}]) {
    await expect(service.execute(name as never, () => 1)).rejects.toMatchObject({ code: 'policy-unknown' });
  }
  expect(service.stats()[0]).toMatchObject({ calls: 0, inFlight: 0 });
  expect(service.callsUnderWay).toBe(0);
});

describe('setting a policy', () => {
  it('refuses what cannot be made, and nothing has changed', async () => {
    const { service } = testService();
    const bad = { name: 'db', strategies: [gate(0), plain('hedge')] };
    expect(() => service.set(bad)).toThrow(
      'concurrency must be at least 1; there is no strategy of type "hedge"',
    );
    expect(service.policies()).toEqual([]);
    service.set({ name: 'db', strategies: [gate(1), breaker] });
    const before = service.show('db').document;
    // The breaker would be configured first, and the new gate could be made: neither happens.
    const worse = { name: 'db', strategies: [breaker, gate(0), gate(1, 'second')] };
    expect(() => service.set(worse)).toThrow('concurrency must be at least 1');
    expect(service.show('db').document).toBe(before);
    expect(service.show('db').statistics.strategies).toHaveLength(2);
    expect(() => service.set({ name: 'db', strategies: [gate(1), gate(2)] })).toThrow(
      'there are two bulkhead named bulkhead',
    );
  });

  it('configures nothing when another part of the document is refused', () => {
    const { service } = testService();
    service.set({ name: 'db', strategies: [gate(1)] });
    const held = new Held<string>();
    const calls = [1, 2].map(() => service.execute('db', held.action));
    expect(() => service.set({ name: 'db', strategies: [gate(5), plain('hedge')] })).toThrow('no strategy');
    expect(() => service.set({ name: 'db', strategies: [gate(5), gate(0, 'new')] })).toThrow('at least 1');
    expect(held.runs).toBe(1);
    expect(calls).toHaveLength(2);
  });

  it('puts back what was configured when a later one cannot be', () => {
    const { service } = testService();
    service.set({ name: 'db', strategies: [gate(1), gate(5, 'inner')] });
    expect(() => service.set({ name: 'db', strategies: [gate(5), gate(0, 'inner')] })).toThrow('at least 1');
    const held = new Held<string>();
    const calls = [1, 2].map(() => service.execute('db', held.action));
    expect(held.runs).toBe(1);
    expect(calls).toHaveLength(2);
  });

  it('refuses more policies than anybody needs', () => {
    const { service } = testService();
    for (let n = 0; n < 1_000; n++) service.set({ name: `p${n}`, strategies: [] });
    expect(() => service.set({ name: 'one-more', strategies: [] })).toThrow(
      expect.objectContaining({ code: 'policies-exhausted' }),
    );
    service.set({ name: 'p0', strategies: [gate(1)] });
  });

  it('takes what the reader of documents makes', () => {
    const { service } = testService();
    service.set(readPolicyDocument({ name: 'db', strategies: [] }));
    expect(service.list()).toMatchObject([{ name: 'db', strategies: [] }]);
  });
});

describe('changing a policy', () => {
  it('counts calls in flight against the new limit, and throws no queued call out', async () => {
    const { service } = testService();
    service.set({ name: 'db', strategies: [gate(3)] });
    const held = new Held<number>();
    const calls = [1, 2, 3, 4].map(() => service.execute('db', held.action));
    expect(held.runs).toBe(3);
    service.set({ name: 'db', strategies: [gate(1)] });
    held.end(1);
    held.end(2);
    await settle();
    expect(held.runs).toBe(3);
    held.end(3);
    await settle();
    expect(held.runs).toBe(4);
    held.end(4);
    await expect(Promise.all(calls)).resolves.toEqual([1, 2, 3, 4]);
  });

  it('lets who waits in at once when the limit grows', async () => {
    const { service } = testService();
    service.set({ name: 'db', strategies: [gate(1)] });
    const held = new Held<number>();
    const calls = [1, 2].map(() => service.execute('db', held.action));
    service.set({ name: 'db', strategies: [gate(2)] });
    expect(held.runs).toBe(2);
    held.end(1);
    held.end(2);
    await Promise.all(calls);
  });

  it('keeps an open breaker open, wherever it stands in the new row', async () => {
    const { service } = testService();
    service.set({ name: 'db', strategies: [breaker, gate(1)] });
    service.isolate('db', 'a', 'maintenance');
    service.set({ name: 'db', strategies: [gate(5), plain('circuit-breaker', 'other'), breaker] });
    await expect(service.execute('db', () => 1, { key: 'a' })).rejects.toMatchObject({
      code: 'circuit-isolated',
    });
    await expect(service.execute('db', () => 1, { key: 'b' })).resolves.toBe(1);
  });

  it('lets calls under way unwind through the row they began with', async () => {
    const { service } = testService();
    service.set({ name: 'db', strategies: [gate(1, 'outer'), gate(1, 'inner')] });
    const held = new Held<number>();
    const calls = [1, 2].map(() => service.execute('db', held.action));
    service.set({ name: 'db', strategies: [gate(1, 'inner')] });
    const third = service.execute('db', held.action);
    expect(held.runs).toBe(1);
    held.end(1);
    await settle();
    held.end(2);
    await settle();
    held.end(3);
    await expect(Promise.all([...calls, third])).resolves.toHaveLength(3);
    expect(service.show('db', '').keys[0]).toMatchObject({ running: 0, idle: true });
    service.set({ name: 'db', strategies: [] });
    await expect(service.execute('db', () => 'bare')).resolves.toBe('bare');
  });

  it('takes keys over that nobody uses, in the background', async () => {
    const made: Switch[] = [];
    class Counted extends Switch {
      constructor(...given: ConstructorParameters<typeof Switch>) {
        super(...given);
        made.push(this);
      }
    }
    const { service, clock } = testService({ strategies: { bulkhead: Gate, 'circuit-breaker': Counted } });
    service.set({ name: 'db', strategies: [gate(1)] });
    for (let n = 0; n < 1_000; n++) void service.execute('db', () => n, { key: `k${n}` });
    service.set({ name: 'db', strategies: [gate(1), breaker] });
    expect(made[0]?.layers.size).toBe(0);
    await turns(clock);
    expect(made[0]?.layers.size).toBe(1_000);
  });
});

describe('an operator', () => {
  it('isolates and resets one key', async () => {
    const { service } = testService();
    service.set({ name: 'db', strategies: [breaker] });
    service.isolate('db', 'a', 'maintenance');
    expect(service.show('db', 'a').keys[0]?.layers[0]?.state).toMatchObject({
      state: 'isolated',
      transitions: [{ reason: 'maintenance' }],
    });
    expect(service.health()).toMatchObject({
      totalPolicies: 1,
      activeCircuitBreakers: 1,
      policyStates: { db: { circuit: 'open' } },
    });
    service.reset('db', 'a');
    await expect(service.execute('db', () => 1, { key: 'a' })).resolves.toBe(1);
    expect(service.policy('db').state()).toMatchObject({
      circuit: 'closed',
      strategies: ['circuit-breaker'],
    });
    expect(service.breakers('db', 'a')).toHaveLength(1);
    expect(service.breakers('db', 'b')).toEqual([]);
    expect(() => service.reset('db', 'b')).toThrow(
      expect.objectContaining({ code: 'resilience-key-unknown' }),
    );
    expect(() => service.show('db', 'b')).toThrow('no state for key "b"');
  });

  it('isolates all keys, present and later, whatever is changed meanwhile, and resets them', async () => {
    const { service, clock } = testService();
    service.set({ name: 'db', strategies: [breaker] });
    await service.execute('db', () => 1, { key: 'early' });
    service.isolate('db', undefined, 'maintenance');
    service.set({ name: 'db', strategies: [gate(1), breaker] });
    for (const key of ['early', 'late']) {
      await expect(service.execute('db', () => 1, { key })).rejects.toMatchObject({
        code: 'circuit-isolated',
      });
    }
    service.reset('db', 'late');
    await expect(service.execute('db', () => 1, { key: 'late' })).resolves.toBe(1);
    service.reset('db');
    await turns(clock);
    expect(service.health().activeCircuitBreakers).toBe(0);
    await expect(service.execute('db', () => 1, { key: 'early' })).resolves.toBe(1);
  });

  it('is told when a policy has no breaker', () => {
    const { service } = testService();
    service.set({ name: 'db', strategies: [gate(1)] });
    expect(() => service.isolate('db', undefined, 'why')).toThrow(
      expect.objectContaining({ code: 'policy-has-no-breaker' }),
    );
    expect(() => service.reset('db')).toThrow('no circuit breaker');
    expect(service.policy('db').state().circuit).toBeUndefined();
  });

  it('hears what happens, and a listener that throws harms nobody', async () => {
    const failures: string[] = [];
    const { service } = testService({ listenerFailed: (message) => failures.push(message) });
    service.set({ name: 'db', strategies: [breaker] });
    const heard: ResilienceEvent[] = [];
    service.listen(() => {
      throw new Error('a bad listener');
    });
    const listening = service.listen((event) => heard.push(event));
    service.isolate('db', '', 'maintenance');
    await settle();
    expect(heard).toMatchObject([{ kind: 'circuit-changed', current: 'isolated' }]);
    expect(failures).toEqual(['a bad listener']);
    listening[Symbol.dispose]();
    service.reset('db', '');
    await settle();
    expect(heard).toHaveLength(1);
  });
});
