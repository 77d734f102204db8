// What is kept of a breaker: what operators, other nodes and changed options make of it, what is told and counted, and
// when it may be forgotten.

import { FakeClock } from '@datawarehouse/sdk/testing';
import { describe, expect, it } from 'vitest';
import { testBreaker } from './breaker.test.kit.js';
import { MAX_TRANSITIONS } from './transition-log.js';

describe('by hand', () => {
  it('is isolated from every state until it is reset, whatever calls inside come to', () => {
    const { begin, clock, layer, state } = testBreaker();
    const inside = begin();
    expect(layer.isolate('maintenance')).toBe(true);
    expect(layer.isolate('again')).toBe(false);
    inside.succeed();
    clock.advance(1_000_000);
    const call = begin();
    expect(call.error).toMatchObject({ code: 'circuit-isolated', retryable: false });
    expect(state()).toBe('isolated');
    expect(layer.reset('done')).toBe(true);
    expect(state()).toBe('closed');
    expect(begin().admitted).toBe(true);
    expect(layer.transitions.map(({ reason, source }) => [reason, source])).toEqual([
      ['maintenance', 'operator'],
      ['done', 'operator'],
    ]);
  });

  it('is isolated while half-open, and the probe’s result does not matter', () => {
    const { begin, clock, fail, layer, state } = testBreaker();
    fail(2);
    clock.advance(1_000);
    const probe = begin();
    layer.isolate('no');
    probe.succeed();
    expect(state()).toBe('isolated');
  });

  it('is closed by a reset while open', () => {
    const { begin, fail, layer, state } = testBreaker();
    fail(2);
    layer.reset('it is fixed');
    expect(state()).toBe('closed');
    expect(begin().admitted).toBe(true);
  });
});

describe('another node', () => {
  it('opens it, for as long as it is open there', () => {
    const { begin, clock, layer, state, strategy } = testBreaker();
    expect(layer.applyRemote('open', { reason: 'node b: down', breakMs: 300 })).toBe(true);
    expect(begin().error).toMatchObject({ code: 'circuit-open', retryAfterMs: 300 });
    clock.advance(300);
    begin().succeed();
    expect(state()).toBe('closed');
    expect(strategy.counters()).toMatchObject({ opened: 0, openedByRemote: 1 });
    expect(layer.transitions[0]).toMatchObject({ source: 'remote', reason: 'node b: down' });
  });

  it('prolongs a break and never shortens it', () => {
    const { clock, fail, layer, state } = testBreaker();
    fail(2);
    expect(layer.applyRemote('open', { reason: 'x', breakMs: 500 })).toBe(false);
    clock.advance(999);
    expect(state()).toBe('open');
    layer.applyRemote('open', { reason: 'x', breakMs: 500 });
    clock.advance(499);
    expect(state()).toBe('open');
    clock.advance(1);
    expect(state()).toBe('half-open');
  });

  it('that closes only allows a probe here', () => {
    const { begin, fail, layer, state } = testBreaker();
    fail(2);
    expect(layer.applyRemote('closed', { reason: 'node b is well' })).toBe(true);
    expect(state()).toBe('half-open');
    expect([begin(), begin()].map(({ admitted }) => admitted)).toEqual([true, false]);
  });

  it('changes nothing of what is isolated, not shared, or on a dry run', () => {
    const isolated = testBreaker();
    isolated.layer.isolate('by hand');
    isolated.layer.applyRemote('open', { reason: 'x' });
    isolated.layer.applyRemote('closed', { reason: 'x' });
    expect(isolated.state()).toBe('isolated');
    for (const options of [{ share: false }, { dryRun: true }]) {
      const { layer, state } = testBreaker(options);
      expect(layer.applyRemote('open', { reason: 'x' })).toBe(false);
      expect(state()).toBe('closed');
    }
  });
});

describe('changed in place', () => {
  it('an open breaker stays open for its remaining time (weakness elsewhere: it closed, its thresholds being replaced)', () => {
    const { begin, clock, configure, fail, state } = testBreaker();
    fail(2);
    clock.advance(400);
    configure({ window: { kind: 'count', size: 10, failureRate: 0.5, minimumThroughput: 5 }, breakMs: 10 });
    clock.advance(599);
    expect(state()).toBe('open');
    expect(begin().admitted).toBe(false);
    clock.advance(1);
    expect(begin().admitted).toBe(true);
  });

  it('failures that were seen count against the new threshold', () => {
    const { configure, fail, state } = testBreaker({ window: { kind: 'consecutive', failures: 10 } });
    fail(3);
    configure({ window: { kind: 'consecutive', failures: 4 } });
    fail();
    expect(state()).toBe('open');
  });

  it('fewer probes apply to those that come, and those under way go on', () => {
    const { begin, clock, configure, fail } = testBreaker({ halfOpenProbes: 3, successesToClose: 5 });
    fail(2);
    clock.advance(1_000);
    const probes = [begin(), begin(), begin()];
    configure({ halfOpenProbes: 1 });
    probes[0]?.succeed();
    probes[1]?.succeed();
    expect(begin().admitted).toBe(false);
    probes[2]?.succeed();
    expect(begin().admitted).toBe(true);
  });
});

describe('what is told', () => {
  it('of every change: from where to where, why, by whom', () => {
    const { clock, events, fail, succeed } = testBreaker();
    fail(2);
    clock.advance(1_000);
    succeed();
    expect(events).toMatchObject([
      { kind: 'circuit-changed', policy: 'p', key: 'k', previous: 'closed', current: 'open', breakMs: 1_000 },
      { kind: 'circuit-changed', previous: 'open', current: 'half-open', source: 'calls' },
      { kind: 'circuit-changed', strategy: 'circuit-breaker', previous: 'half-open', current: 'closed' },
    ]);
  });

  it(`is the last ${MAX_TRANSITIONS} transitions, and nothing of a key that had none`, () => {
    const { clock, fail, layer, succeed } = testBreaker();
    succeed(3);
    fail();
    expect(layer.transitions).toEqual([]);
    for (let n = 0; n < 20; n++) {
      fail(2);
      clock.advance(1_000);
      succeed();
    }
    expect(layer.transitions).toHaveLength(MAX_TRANSITIONS);
    expect(layer.transitions.at(-1)?.current).toBe('closed');
  });

  it('is what its window holds, so that one sees how near it is to opening', () => {
    const clock = new FakeClock({ now: 5_000 });
    const window = { kind: 'time', durationMs: 1_000, failureRate: 0.5, minimumThroughput: 10 } as const;
    const { configure, fail, layer, succeed } = testBreaker({ window }, clock);
    succeed(3);
    expect(layer.view(5_000).window).toEqual({ calls: 3, failed: 0, slow: 0 });
    fail(2);
    expect(layer.view(5_000).window).toEqual({ calls: 5, failed: 2, slow: 0 });
    expect(layer.view(7_000).window).toEqual({ calls: 0, failed: 0, slow: 0 });
    configure({ window: { kind: 'consecutive', failures: 5 } });
    fail(3);
    expect(layer.view(5_000).window).toEqual({ calls: 3, failed: 3, slow: 0 });
    configure({ window: { kind: 'count', size: 10, failureRate: 0.9, minimumThroughput: 10 } });
    succeed();
    expect(layer.view(5_000).window).toEqual({ calls: 4, failed: 3, slow: 0 });
  });

  it('is how many breakers are in which state, counted where they change', () => {
    const { strategy, clock, layer, fail } = testBreaker();
    const other = strategy.layer('other');
    fail(2);
    other.isolate('by hand');
    strategy.layer('third');
    expect(strategy.counters()).toMatchObject({ breakers: 3, closed: 1, open: 1, halfOpen: 0, isolated: 1 });
    clock.advance(1_000);
    // Over, but nobody has called.
    expect(strategy.counters()).toMatchObject({ open: 1, halfOpen: 0 });
    expect(layer.state(clock.now())).toBe('half-open');
    layer.applyRemote('closed', { reason: 'x' });
    expect(strategy.counters()).toMatchObject({ open: 0, halfOpen: 1 });
    strategy.forget(other);
    expect(strategy.counters()).toMatchObject({ breakers: 2, closed: 1, isolated: 0 });
  });
});

describe('forgetting', () => {
  it('is allowed of a closed breaker that saw no failure and has nobody inside', () => {
    const { begin, clock, layer } = testBreaker();
    expect(layer.idle(clock.now())).toBe(true);
    const call = begin();
    expect(layer.idle(clock.now())).toBe(false);
    call.succeed();
    expect(layer.idle(clock.now())).toBe(true);
  });

  it('is never allowed of an open or isolated one, and of others only long after their trouble', () => {
    const { clock, fail, layer, state } = testBreaker({ breakMs: 3_600_000 });
    fail();
    expect(layer.idle(clock.now())).toBe(false);
    fail();
    clock.advance(3_599_999);
    expect(layer.idle(clock.now())).toBe(false);
    clock.advance(1);
    expect(state()).toBe('half-open');
    expect(layer.idle(clock.now())).toBe(false);
    clock.advance(3_600_000);
    expect(layer.idle(clock.now())).toBe(true);
    layer.isolate('by hand');
    clock.advance(100_000_000);
    expect(layer.idle(clock.now())).toBe(false);
  });

  it('is not allowed of an open one whose break is longer than new ones would be', () => {
    const { clock, configure, fail, layer } = testBreaker({ breakMs: 3_600_000 });
    fail(2);
    configure({ breakMs: 1 });
    clock.advance(3_599_999);
    expect(layer.idle(clock.now())).toBe(false);
    clock.advance(1);
    expect(layer.idle(clock.now())).toBe(true);
  });

  it('is allowed again of a closed one whose failures are long ago, so that strangers’ keys do not stay for ever', () => {
    const { clock, fail, layer } = testBreaker();
    fail();
    clock.advance(600_999);
    expect(layer.idle(clock.now())).toBe(false);
    clock.advance(1);
    expect(layer.idle(clock.now())).toBe(true);
  });
});
