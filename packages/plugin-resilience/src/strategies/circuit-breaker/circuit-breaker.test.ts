// Every transition of a breaker, on a clock that the test turns.

import { describe, expect, it } from 'vitest';
import { callTimedOut, bulkheadFull } from '../../errors.js';
import { testBreaker } from './breaker.test.kit.js';

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

  it('takes a call that was called off further in neither for a failure nor for a success', () => {
    const { begin, clock, state, strategy } = testBreaker();
    begin().fail();
    begin().fail(new DOMException('not wanted', 'AbortError'));
    begin().fail();
    expect(state()).toBe('open');
    expect(strategy.counters()).toMatchObject({ failed: 2, succeeded: 0 });
    clock.advance(1_000);
    begin().fail(new DOMException('not wanted', 'AbortError'));
    expect(state()).toBe('half-open');
    expect(strategy.counters()).toMatchObject({ probes: 1, probesAbandoned: 1 });
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

it('a step of the wall clock changes nothing', () => {
  const { clock, fail, state } = testBreaker();
  fail(2);
  clock.stepWallTime(10_000_000);
  expect(state()).toBe('open');
  clock.stepWallTime(-20_000_000);
  clock.advance(1_000);
  expect(state()).toBe('half-open');
});
