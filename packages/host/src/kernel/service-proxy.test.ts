import { describe, expect, test } from 'vitest';
import type { PluginScope } from './attribution.js';
import { blamedFor, currentScope, runInScope } from './attribution.js';
import { createServiceProxy } from './service-proxy.js';

const scope = (pluginId: string): PluginScope => ({ pluginId, attribution: 'context', onCrash: () => {} });
const provider = scope('provider');
const consumer = scope('consumer');
const make = <T extends object>(service: T): { readonly proxy: T; readonly revoke: () => void } =>
  createServiceProxy(service, provider, () => new Error('gone')) as never;

class Counter {
  #count = 0;
  label = 'counter';
  get count(): number {
    return this.#count;
  }
  add(by: number): number {
    this.#count += by;
    return this.#count;
  }
  scopeNow(): string | undefined {
    return currentScope()?.pluginId;
  }
}

describe('a stand-in', () => {
  test('behaves as the service: private fields, accessors, prototype, own keys', () => {
    const { proxy } = make(new Counter());
    expect(proxy.add(2)).toBe(2);
    expect(proxy.count).toBe(2);
    expect(proxy instanceof Counter).toBe(true);
    expect('add' in proxy).toBe(true);
    expect(Object.keys(proxy)).toEqual(['label']);
    proxy.label = 'other';
    expect(proxy.label).toBe('other');
    expect(proxy.add).toBe(proxy.add);
  });

  test('serves frozen services and functions', () => {
    const frozen = make(Object.freeze({ one: () => 1, two: 2 })).proxy;
    expect([frozen.one(), frozen.two, Object.keys(frozen)]).toEqual([1, 2, ['one', 'two']]);
    expect(make((a: number) => a + 1).proxy(1)).toBe(2);
  });

  test('runs calls in the scope of the provider, and gives the caller its own back', () => {
    const { proxy } = make(new Counter());
    runInScope(consumer, () => {
      expect(proxy.scopeNow()).toBe('provider');
      expect(currentScope()).toBe(consumer);
    });
  });

  test('calls back in the scope of who handed the callback over, and blames it for what it throws', () => {
    let kept: (() => unknown) | undefined;
    const { proxy } = make({
      listen: (fn: () => unknown) => (kept = fn),
      same: (fn: () => unknown) => fn === kept,
    });
    const error = new Error('mine');
    const throwing = (): never => {
      throw error;
    };
    const seen = (): string | undefined => currentScope()?.pluginId;
    runInScope(consumer, () => void proxy.listen(seen));
    expect(runInScope(provider, () => kept?.())).toBe('consumer');
    // The same function arrives as the same, so that it can be taken off again.
    expect(runInScope(consumer, () => proxy.same(seen))).toBe(true);
    runInScope(consumer, () => void proxy.listen(throwing));
    expect(() => runInScope(provider, () => kept?.())).toThrow(error);
    expect(blamedFor(error)).toBe(consumer);
  });

  test('shows of a callback how many arguments it takes', () => {
    const { proxy } = make({ argumentsOf: (fn: (...args: never[]) => unknown) => fn.length });
    runInScope(consumer, () => {
      expect(proxy.argumentsOf((_signal: AbortSignal) => 1)).toBe(1);
      expect(proxy.argumentsOf(() => 1)).toBe(0);
    });
  });

  test('refuses everything once it is revoked, methods taken before included', () => {
    const { proxy, revoke } = make(new Counter());
    const { add } = proxy;
    revoke();
    expect(() => add(1)).toThrow('gone');
    expect(() => proxy.count).toThrow('gone');
    expect(() => 'add' in proxy).toThrow('gone');
    expect(() => Object.keys(proxy)).toThrow('gone');
    expect(() => {
      proxy.label = 'x';
    }).toThrow('gone');
  });

  test('can be handed through a promise', async () => {
    const { proxy } = make(new Counter());
    expect(await Promise.resolve(proxy)).toBe(proxy);
  });
});
