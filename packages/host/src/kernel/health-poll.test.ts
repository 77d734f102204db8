import { FakeClock } from '@datawarehouse/sdk/testing';
import { expect, it } from 'vitest';
import { HealthPoll } from './health-poll.js';

function setUp() {
  const clock = new FakeClock();
  const state = { rounds: 0, ready: false, failing: false, failures: 0 };
  const poll = new HealthPoll({
    clock,
    everyMs: 5_000,
    ask: async () => {
      state.rounds += 1;
      if (state.failing) throw new Error('nobody answers');
    },
    isReady: () => state.ready,
    onFailed: () => {
      state.failures += 1;
    },
  });
  return { clock, state, poll };
}

it('asks often while the node is not ready, and seldom once it is', async () => {
  const { clock, state, poll } = setUp();
  await clock.advanceAsync(1_000);
  expect(state.rounds).toBe(10);
  state.ready = true;
  await clock.advanceAsync(4_900);
  expect(state.rounds).toBe(10);
  await clock.advanceAsync(100);
  expect(state.rounds).toBe(11);
  poll.stop();
});

it('asks at once again when a ready node is no longer ready', async () => {
  const { clock, state, poll } = setUp();
  state.ready = true;
  await clock.advanceAsync(1_000);
  expect(state.rounds).toBe(0);
  state.ready = false;
  await clock.advanceAsync(100);
  expect(state.rounds).toBe(1);
  poll.stop();
});

it('goes on after a round that failed, and tells of it', async () => {
  const { clock, state, poll } = setUp();
  state.failing = true;
  await clock.advanceAsync(300);
  expect(state).toMatchObject({ rounds: 3, failures: 3 });
  poll.stop();
});

it('leaves no timer once it is stopped', async () => {
  const { clock, state, poll } = setUp();
  await clock.advanceAsync(100);
  poll.stop();
  await clock.advanceAsync(60_000);
  expect(state.rounds).toBe(1);
});
