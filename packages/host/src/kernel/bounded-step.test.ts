import { expect, test } from 'vitest';
import { FakeClock } from '@datawarehouse/sdk/testing';
import { runBounded } from './bounded-step.js';

const never = new Promise<never>(() => {});

test('gives what the step gives, and leaves no timer', async () => {
  const clock = new FakeClock();
  expect(await runBounded(() => 7, { clock, timeoutMs: 10 })).toEqual({ kind: 'done', value: 7 });
  const error = new Error('x');
  expect(await runBounded(() => Promise.reject(error), { clock, timeoutMs: 10 })).toEqual({
    kind: 'failed',
    error,
  });
  const thrower = (): never => {
    throw error;
  };
  expect(await runBounded(thrower, { clock, timeoutMs: 10 })).toEqual({ kind: 'failed', error });
  expect(clock.pendingTimers()).toEqual([]);
});

test('ends at the deadline and tells the step', async () => {
  const clock = new FakeClock();
  let told = false;
  const outcome = runBounded(
    (signal) => {
      signal.addEventListener('abort', () => (told = true));
      return never;
    },
    { clock, timeoutMs: 10 },
  );
  clock.advance(10);
  expect(await outcome).toEqual({ kind: 'timeout' });
  expect(told).toBe(true);
});

test('hears of results that come late, once', async () => {
  const clock = new FakeClock();
  const late: unknown[] = [];
  let settle: (error: Error) => void = () => {};
  const step = new Promise<never>((_resolve, reject) => (settle = reject));
  const outcome = runBounded(() => step, { clock, timeoutMs: 10, onLate: (result) => late.push(result) });
  clock.advance(10);
  await outcome;
  const error = new Error('late');
  settle(error);
  await new Promise((resolve) => setImmediate(resolve));
  expect(late).toEqual([{ error }]);
});

test('ends when it is aborted, and does not begin when it was aborted before', async () => {
  const clock = new FakeClock();
  const controller = new AbortController();
  const outcome = runBounded(() => never, { clock, timeoutMs: 10, abort: controller.signal });
  controller.abort();
  expect(await outcome).toEqual({ kind: 'aborted' });
  let began = false;
  const begin = (): void => void (began = true);
  expect(await runBounded(begin, { clock, timeoutMs: 10, abort: controller.signal })).toEqual({
    kind: 'aborted',
  });
  expect(began).toBe(false);
  expect(clock.pendingTimers()).toEqual([]);
});
