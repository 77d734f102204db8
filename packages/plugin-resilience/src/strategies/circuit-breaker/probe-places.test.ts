// Probes that hang: how they lose their places, and what they still say.

import { describe, expect, it } from 'vitest';
import type { TestBreaker } from './breaker.test.kit.js';
import { testBreaker } from './breaker.test.kit.js';

/** A breaker that is half-open, whose probes keep their places for 5 s. */
function halfOpen(options: Parameters<typeof testBreaker>[0] = {}): TestBreaker {
  const breaker = testBreaker({ maxProbeMs: 5_000, ...options });
  breaker.fail(2);
  breaker.clock.advance(1_000);
  return breaker;
}

const probesOf = ({ layer, clock }: TestBreaker): number => layer.view(clock.now()).probes;

describe('a probe that hangs', () => {
  it('holds its place for maxProbeMs, and then leaves it to the next call (weakness elsewhere: half-open for ever)', () => {
    const breaker = halfOpen();
    const { begin, clock, state, strategy } = breaker;
    const hanging = begin();
    clock.advance(4_999);
    expect(begin().error).toMatchObject({ code: 'circuit-open' });
    clock.advance(1);
    const next = begin();
    expect([hanging.admitted, next.admitted, begin().admitted]).toEqual([true, true, false]);
    expect(probesOf(breaker)).toBe(1);
    next.succeed();
    expect(state()).toBe('closed');
    expect(strategy.counters()).toMatchObject({ probes: 2, probesOverdue: 1, probesAbandoned: 0 });
  });

  it('keeps its place for as long as nobody else wants it, and sets no timer', () => {
    const breaker = halfOpen();
    const hanging = breaker.begin();
    breaker.clock.advance(1_000_000);
    expect(breaker.clock.pendingTimers()).toEqual([]);
    expect(probesOf(breaker)).toBe(1);
    hanging.succeed();
    expect(probesOf(breaker)).toBe(0);
    expect(breaker.state()).toBe('closed');
    expect(breaker.strategy.counters()).toMatchObject({ probesOverdue: 0 });
  });

  it('that lost its place still says how it is, so that a breaker of slow calls can close and open', () => {
    for (const [end, becomes] of [
      ['succeed', 'closed'],
      ['fail', 'open'],
    ] as const) {
      const breaker = halfOpen();
      const slow = breaker.begin();
      breaker.clock.advance(5_000);
      const next = breaker.begin();
      slow[end]();
      expect(breaker.state()).toBe(becomes);
      // It gave its place back before, and not that of the other.
      expect(probesOf(breaker)).toBe(1);
      next.fail();
      expect(breaker.state()).toBe(becomes);
      expect(probesOf(breaker)).toBe(0);
    }
  });

  it('holds its place until it ends where maxProbeMs is 0', () => {
    const { begin, clock } = halfOpen({ maxProbeMs: 0 });
    begin();
    clock.advance(86_400_000);
    expect(begin().admitted).toBe(false);
  });

  it('loses it only when its own time is over, so that never more places are held than allowed', () => {
    const breaker = halfOpen({ halfOpenProbes: 2, successesToClose: 5 });
    const first = breaker.begin();
    breaker.clock.advance(3_000);
    breaker.begin();
    breaker.clock.advance(2_000);
    expect(breaker.begin().admitted).toBe(true);
    expect(breaker.begin().admitted).toBe(false);
    first.cancel();
    expect(probesOf(breaker)).toBe(2);
    expect(breaker.begin().admitted).toBe(false);
  });

  it('is judged by the time that is set when somebody asks', () => {
    const { begin, clock, configure } = halfOpen({ maxProbeMs: 0 });
    begin();
    clock.advance(100);
    configure({ maxProbeMs: 100 });
    expect(begin().admitted).toBe(true);
  });
});

describe('by hand', () => {
  it('a reset frees the places of probes at once, and what they come to later says nothing', () => {
    for (const end of ['succeed', 'fail', 'cancel'] as const) {
      const breaker = halfOpen({ maxProbeMs: 0 });
      const { begin, clock, fail, layer, state } = breaker;
      const hanging = begin();
      layer.reset('it is fixed');
      expect([state(), probesOf(breaker)]).toEqual(['closed', 0]);
      fail(2);
      clock.advance(1_000);
      const probe = begin();
      expect(probe.admitted).toBe(true);
      hanging[end]();
      expect([state(), probesOf(breaker), begin().admitted]).toEqual(['half-open', 1, false]);
      probe.succeed();
      expect(state()).toBe('closed');
    }
  });

  it('an isolation frees them, too', () => {
    const breaker = halfOpen({ maxProbeMs: 0 });
    const { begin, clock, fail, layer } = breaker;
    const hanging = begin();
    layer.isolate('maintenance');
    expect(probesOf(breaker)).toBe(0);
    layer.reset('done');
    fail(2);
    clock.advance(1_000);
    hanging.fail();
    expect([begin().admitted, begin().admitted]).toEqual([true, false]);
  });
});
