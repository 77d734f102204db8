// Signals of callers, and for how long they are listened to.

import { getEventListeners } from 'node:events';
import { expect, it } from 'vitest';
import type { CallPath } from './call.js';
import { callThrough } from './call.js';

const path: CallPath = { layers: [], givesUp: false, ended: () => {} };

const listeners = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length;

function call(signal: AbortSignal, action = async (): Promise<unknown> => 1): Promise<unknown> {
  return callThrough(path, '', action, 0, { signal });
}

it('does not keep listening to the signals of calls that are over (a listener keeps a composed signal alive)', async () => {
  const shutdown = new AbortController();
  const signals = Array.from({ length: 500 }, () => AbortSignal.any([shutdown.signal]));
  for (const signal of signals) await call(signal);
  expect(signals.filter((signal) => listeners(signal) > 0).length).toBeLessThanOrEqual(64);
});

it('has one listener on a signal of many calls, and keeps it while there is one', async () => {
  const caller = new AbortController();
  const { signal } = caller;
  for (let n = 0; n < 10; n++) await call(signal);
  const held = call(signal, () => new Promise(() => {}));
  const others = Array.from({ length: 200 }, () => call(new AbortController().signal));
  await Promise.all([call(signal), call(signal), ...others]);
  expect(listeners(signal)).toBe(1);
  caller.abort(new Error('gone'));
  await expect(held).rejects.toThrow('gone');
});

it('listens again to a signal that it had left', async () => {
  const caller = new AbortController();
  await call(caller.signal);
  for (let n = 0; n < 200; n++) await call(new AbortController().signal);
  expect(listeners(caller.signal)).toBe(0);
  const held = [1, 2].map(() => call(caller.signal, () => new Promise(() => {})));
  caller.abort(new Error('gone'));
  for (const result of held) await expect(result).rejects.toThrow('gone');
});
