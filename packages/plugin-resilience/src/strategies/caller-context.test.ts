// Actions run in the asynchronous context of their caller, wherever the call went on before.

import { AsyncLocalStorage } from 'node:async_hooks';
import { describe, expect, it } from 'vitest';
import type { Call } from '../engine/call.js';
import type { Layer } from '../engine/layer.js';
import { FALLBACK_OPTIONS } from './fallback/fallback-options.js';
import { FallbackStrategy } from './fallback/fallback-strategy.js';
import { HEDGE_OPTIONS } from './hedge/hedge-options.js';
import { HedgeStrategy } from './hedge/hedge-strategy.js';
import { RETRY_OPTIONS } from './retry/retry-options.js';
import { RetryStrategy } from './retry/retry-strategy.js';
import { RowKit, optionsOf } from './row.test.kit.js';
import { TIMEOUT_OPTIONS } from './timeout/timeout-options.js';
import { TimeoutStrategy } from './timeout/timeout-strategy.js';

const tenant = new AsyncLocalStorage<string>();

/** A layer that keeps calls until they are let go on. */
function gate() {
  const kept: { call: Call; at: number }[] = [];
  const layer: Layer = {
    type: 'bulkhead',
    enter: (call, at) => {
      kept.push({ call, at });
      return 'wait';
    },
    leave: () => 'out',
    abandon: () => {},
    idle: () => true,
  };
  return { strategy: { layer: () => layer, givesUp: false }, kept };
}

const retryOf = (kit: RowKit, baseDelayMs: number): RetryStrategy =>
  new RetryStrategy(
    optionsOf(RETRY_OPTIONS, { backoff: 'fixed', baseDelayMs, jitter: 0, budget: null }),
    kit.context,
  );

const timeoutOf = (kit: RowKit): TimeoutStrategy =>
  new TimeoutStrategy(optionsOf(TIMEOUT_OPTIONS, { timeoutMs: 100 }), kit.context);

/** Lets time pass as somebody else, so that every timer fires in another context than the one that set it. */
const passAs = (kit: RowKit, who: string, ms: number): Promise<void> =>
  tenant.run(who, () => kit.clock.advanceAsync(ms));

/** An action that fails at first, and notes for whom it runs each time, also a moment later. */
function noting(failures: number) {
  const seen: (string | undefined)[] = [];
  const action = async (): Promise<string> => {
    seen.push(tenant.getStore());
    await Promise.resolve();
    if (seen.length % 2 === 1) seen.push(tenant.getStore());
    if (seen.length / 2 <= failures) throw new Error('not yet');
    return 'done';
  };
  return { action, seen };
}

describe('an action runs in the context of its caller', () => {
  it('also when what it gave before is no promise of the language, and somebody else settles it', async () => {
    const kit = new RowKit();
    const settle: ((error: Error) => void)[] = [];
    const seen: (string | undefined)[] = [];
    const action = (): PromiseLike<string> => {
      seen.push(tenant.getStore());
      if (seen.length > 1) return Promise.resolve('done');
      // oxlint-disable-next-line unicorn/no-thenable -- what is tested
      return { then: (_: unknown, rejected: (error: Error) => void) => void settle.push(rejected) } as never;
    };
    const call = tenant.run('a', () => kit.row(retryOf(kit, 0)).run(action));
    tenant.run('b', () => settle[0]?.(new Error('not yet')));
    await passAs(kit, 'b', 1);
    expect(call).toMatchObject({ value: 'done' });
    expect(seen).toEqual(['a', 'a']);
  });

  it('after a backoff', async () => {
    const kit = new RowKit();
    const { action, seen } = noting(2);
    const call = tenant.run('a', () => kit.row(retryOf(kit, 50)).run(action));
    await passAs(kit, 'b', 1_000);
    expect(call.value).toBe('done');
    expect(seen).toEqual(['a', 'a', 'a', 'a', 'a', 'a']);
  });

  it('after it waited for its turn', async () => {
    const kit = new RowKit();
    const { strategy, kept } = gate();
    const { action, seen } = noting(1);
    const row = kit.row(retryOf(kit, 0), strategy);
    const call = tenant.run('a', () => row.run(action));
    for (let turn = 0; turn < 2; turn++) {
      tenant.run('b', () => kept[turn]?.call.goIn(kept[turn]?.at ?? 0));
      await passAs(kit, 'b', 1);
    }
    expect(call.value).toBe('done');
    expect(seen).toEqual(['a', 'a', 'a', 'a']);
  });

  it('when an attempt was given up because its time was over', async () => {
    for (const baseDelayMs of [0, 10]) {
      const kit = new RowKit();
      const seen: (string | undefined)[] = [];
      const call = tenant.run('a', () =>
        kit.row(retryOf(kit, baseDelayMs), timeoutOf(kit)).run(() => {
          seen.push(tenant.getStore());
          return seen.length === 1 ? new Promise(() => {}) : 'second';
        }),
      );
      await passAs(kit, 'b', 1_000);
      expect(call.value).toBe('second');
      expect(seen).toEqual(['a', 'a']);
    }
  });

  it('when it is a hedge', async () => {
    const kit = new RowKit();
    const hedge = new HedgeStrategy(optionsOf(HEDGE_OPTIONS, { delayMs: 50, maxHedges: 2 }), kit.context);
    const seen: (string | undefined)[] = [];
    const call = tenant.run('a', () =>
      kit.row(hedge).run(() => {
        seen.push(tenant.getStore());
        return seen.length < 3 ? new Promise(() => {}) : 'third';
      }),
    );
    await passAs(kit, 'b', 1_000);
    expect(call.value).toBe('third');
    expect(seen).toEqual(['a', 'a', 'a']);
  });

  it('when it is called within the action of another call', async () => {
    const kit = new RowKit();
    const row = kit.row(retryOf(kit, 10));
    let inner: unknown;
    const outer = tenant.run('a', () =>
      row.run(() => {
        inner = tenant.run('b', () => row.run(() => tenant.getStore()));
        return tenant.getStore();
      }),
    );
    await kit.clock.advanceAsync(0);
    expect(outer.value).toBe('a');
    expect(inner).toMatchObject({ value: 'b' });
  });

  it('and so does its fallback', async () => {
    const kit = new RowKit();
    const fallback = new FallbackStrategy(optionsOf(FALLBACK_OPTIONS), kit.context);
    const call = tenant.run('a', () =>
      kit
        .row(fallback, timeoutOf(kit))
        .run(() => new Promise(() => {}), { fallback: () => tenant.getStore() }),
    );
    await passAs(kit, 'b', 1_000);
    expect(call.value).toBe('a');
  });
});
