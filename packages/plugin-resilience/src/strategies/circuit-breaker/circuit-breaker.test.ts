// Every transition of a breaker, on a clock that the test turns.

import { describe, expect, it } from 'vitest';
import { callTimedOut, bulkheadFull } from '../../errors.js';
import { testBreaker } from './breaker.test.kit.js';
import { MAX_TRANSITIONS } from './transition-log.js';

describe('a closed breaker', () => {
  it('lets calls in, and opens when so many fail in a row', () => {
    const { fail, succeed, state, layer } = testBreaker({ window: { kind: 'consecutive', failures: 3 } });
    fail(2);
    succeed();
    fail(2);
    expect(state()).toBe('closed');
    fail();
    expect(state()).toBe('open');
    expect(layer.transitions).toMatchObject([{ previous: 'closed', current: 'open', source: 'calls' }]);
    expect(layer.transitions[0]?.reason).toBe('3 calls failed in a row (the last one with Error)');
  });

  it('does not count a call that was cancelled, whether it then fails or not', () => {
    const { begin, fail, state } = testBreaker();
    fail();
    const call = begin();
    call.cancel();
    call.fail();
    expect(call.ending).toBe('cancelled');
    expect(state()).toBe('closed');
    fail();
    expect(state()).toBe('open');
  });

  it('counts a timeout, but not what was turned away further in: that was never tried', () => {
    const { begin, state, strategy } = testBreaker();
    for (let n = 0; n < 10; n++) begin().fail(bulkheadFull('p', 'k', 1, 0));
    expect(state()).toBe('closed');
    expect(strategy.counters()).toMatchObject({ failed: 0, succeeded: 0 });
    begin().fail(callTimedOut('p', 'k', 5));
    begin().fail(bulkheadFull('p', 'k', 1, 0));
    begin().fail(callTimedOut('p', 'k', 5));
    expect(state()).toBe('open');
  });

  it('takes an error that is not handled for a sign of life', () => {
    const { begin, fail, state } = testBreaker({ handle: { statuses: [503] } });
    const unavailable = Object.assign(new Error('x'), { status: 503 });
    begin().fail(unavailable);
    begin().fail(Object.assign(new Error('x'), { status: 404 }));
    begin().fail(unavailable);
    expect(state()).toBe('closed');
    fail();
    begin().fail(unavailable);
    begin().fail(unavailable);
    expect(state()).toBe('open');
  });

  it('takes an error whose fields cannot be read for a failure', () => {
    const { begin, state, layer } = testBreaker();
    const hostile = (): unknown =>
      Object.defineProperty({}, 'code', {
        get: () => {
          throw new Error('caught you');
        },
      });
    begin().fail(hostile());
    begin().fail(hostile());
    expect(state()).toBe('open');
    expect(layer.transitions[0]?.reason).toContain('an error that cannot be looked at');
  });

  it('takes no notice of calls that began before it was reset', () => {
    const { begin, fail, layer, state } = testBreaker();
    const early = begin();
    fail();
    expect(layer.reset('fixed')).toBe(false);
    early.fail();
    fail();
    expect(state()).toBe('closed');
  });

  it('counts slow calls when asked to', () => {
    const { begin, clock, state, layer } = testBreaker({
      window: { kind: 'count', size: 10, failureRate: 1, minimumThroughput: 4 },
      slowCallMs: 100,
      slowRate: 0.5,
    });
    const slow = [begin(), begin()];
    const quick = begin();
    clock.advance(99);
    quick.succeed();
    clock.advance(1);
    slow[0]?.succeed();
    begin().succeed();
    expect(state()).toBe('closed');
    slow[1]?.succeed();
    expect(state()).toBe('open');
    expect(layer.transitions[0]?.reason).toBe('2 of 4 calls were slow');
  });

  it('does not call a call slow whose time was not taken when it began', () => {
    const { begin, clock, configure, state, strategy } = testBreaker();
    const calls = [begin(), begin()];
    clock.advance(1_000);
    configure({ slowCallMs: 10 });
    for (const call of calls) call.succeed();
    const timed = begin();
    configure({ slowCallMs: 0 });
    clock.advance(1_000);
    timed.succeed();
    expect(state()).toBe('closed');
    expect(strategy.counters()).toMatchObject({ slow: 0, succeeded: 3 });
  });

  it('counts slow calls as failures in a row', () => {
    const { begin, clock, state, strategy } = testBreaker({ slowCallMs: 100 });
    const calls = [begin(), begin()];
    clock.advance(100);
    calls[0]?.succeed();
    calls[1]?.fail();
    expect(state()).toBe('open');
    expect(strategy.counters()).toMatchObject({ slow: 2, failed: 1, succeeded: 1 });
  });
});

describe('an open breaker', () => {
  it('turns calls away with the time until a probe, without calling the action', () => {
    const { begin, clock, fail, strategy } = testBreaker();
    fail(2);
    clock.advance(400.5);
    const call = begin();
    expect(call.admitted).toBe(false);
    expect(call.error).toMatchObject({ code: 'circuit-open', retryable: true, retryAfterMs: 600 });
    expect(strategy.counters()).toMatchObject({ rejected: 1, opened: 1 });
  });

  it('takes no notice of calls that were let in while it was closed', () => {
    const { begin, clock, fail, state } = testBreaker();
    const late = [begin(), begin(), begin()];
    fail(2);
    late[0]?.succeed();
    late[1]?.fail();
    clock.advance(999);
    expect(state()).toBe('open');
    clock.advance(1);
    const probe = begin();
    late[2]?.fail();
    expect(state()).toBe('half-open');
    probe.succeed();
    expect(state()).toBe('closed');
  });

  it('lets a probe through when the break is over, and closes when it succeeds', () => {
    const { begin, clock, fail, state, layer } = testBreaker();
    fail(2);
    clock.advance(1_000);
    const probe = begin();
    expect(probe.admitted).toBe(true);
    probe.succeed();
    expect(state()).toBe('closed');
    expect(layer.transitions.map(({ reason }) => reason).slice(1)).toEqual([
      'the break is over',
      'a probe succeeded',
    ]);
    // And it begins with nothing remembered.
    fail();
    expect(state()).toBe('closed');
  });
});

describe('a half-open breaker', () => {
  it('opens again for a whole break when a probe fails', () => {
    const { begin, clock, fail, state } = testBreaker();
    fail(2);
    clock.advance(1_500);
    begin().fail();
    expect(state()).toBe('open');
    clock.advance(999);
    expect(begin().admitted).toBe(false);
    clock.advance(1);
    expect(begin().admitted).toBe(true);
  });

  it('opens again when a probe is slow', () => {
    const { begin, clock, fail, state, layer } = testBreaker({ slowCallMs: 50 });
    fail(2);
    clock.advance(1_000);
    const probe = begin();
    clock.advance(50);
    probe.succeed();
    expect(state()).toBe('open');
    expect(layer.transitions.at(-1)?.reason).toBe('a probe was too slow');
  });

  it('lets no more probes in at once than allowed, and tells the others to come back', () => {
    const { begin, clock, fail } = testBreaker({ halfOpenProbes: 2, successesToClose: 3, breakMs: 400 });
    fail(2);
    clock.advance(400);
    const calls = [begin(), begin(), begin()];
    expect(calls.map(({ admitted }) => admitted)).toEqual([true, true, false]);
    expect(calls[2]?.error).toMatchObject({ code: 'circuit-open', retryAfterMs: 400 });
    calls[0]?.succeed();
    expect([begin(), begin()].map(({ admitted }) => admitted)).toEqual([true, false]);
  });

  it('closes after so many successes, and not before', () => {
    const { succeed, clock, fail, state } = testBreaker({ successesToClose: 3 });
    fail(2);
    clock.advance(1_000);
    succeed(2);
    expect(state()).toBe('half-open');
    succeed();
    expect(state()).toBe('closed');
  });

  it('gets the place of a cancelled probe back, and learns nothing from it', () => {
    const { begin, clock, fail, state, strategy } = testBreaker();
    fail(2);
    clock.advance(1_000);
    const probe = begin();
    expect(begin().admitted).toBe(false);
    probe.cancel();
    probe.fail();
    expect(state()).toBe('half-open');
    expect(strategy.counters()).toMatchObject({ probes: 1, probesAbandoned: 1 });
    begin().succeed();
    expect(state()).toBe('closed');
  });

  it('learns nothing from a probe that was turned away further in', () => {
    const { begin, clock, fail, state } = testBreaker();
    fail(2);
    clock.advance(1_000);
    begin().fail(bulkheadFull('p', 'k', 1, 0));
    expect(state()).toBe('half-open');
    begin().succeed();
    expect(state()).toBe('closed');
  });

  it('counts a probe of an earlier time against the places, and not its result', () => {
    const { begin, clock, fail, state } = testBreaker({ halfOpenProbes: 2 });
    fail(2);
    clock.advance(1_000);
    const [slow, quick] = [begin(), begin()];
    quick.fail();
    clock.advance(1_000);
    const next = begin();
    expect(next.admitted).toBe(true);
    expect(begin().admitted).toBe(false);
    slow.succeed();
    expect(state()).toBe('half-open');
    expect(begin().admitted).toBe(true);
    next.succeed();
    expect(state()).toBe('closed');
  });
});

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

describe('a dry run', () => {
  it('lets everything in, counts what it would have turned away, and shows the state it would have', () => {
    const { begin, clock, fail, state, strategy, events, layer } = testBreaker({ dryRun: true });
    fail(2);
    expect(state()).toBe('open');
    const call = begin();
    expect(call.admitted).toBe(true);
    call.fail();
    expect(strategy.counters()).toMatchObject({ rejected: 0, wouldReject: 1, failed: 2 });
    expect(events.at(-1)).toMatchObject({ kind: 'acted', action: 'rejected', dryRun: true });
    expect(layer.transitions[0]?.reason).toMatch(/\(dry run\)$/);
    clock.advance(1_000);
    const [probe, other] = [begin(), begin()];
    expect(other.admitted).toBe(true);
    other.succeed();
    expect(state()).toBe('half-open');
    probe.succeed();
    expect(state()).toBe('closed');
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

it('a step of the wall clock changes nothing', () => {
  const { clock, fail, state } = testBreaker();
  fail(2);
  clock.stepWallTime(10_000_000);
  expect(state()).toBe('open');
  clock.stepWallTime(-20_000_000);
  clock.advance(1_000);
  expect(state()).toBe('half-open');
});
