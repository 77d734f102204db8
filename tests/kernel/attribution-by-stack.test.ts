// Where no plugin wants asynchronous contexts, failures that nobody caught are traced by their stacks, and those that
// come out of a call of the host by that call. In a file of its own: a process that once has contexts keeps them.

import { AsyncLocalStorage } from 'node:async_hooks';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { CulpritHost } from './support/culprit-host.js';

const BY_STACK = { attribution: 'stack' };

let given: CulpritHost;
beforeEach(async () => {
  given = await CulpritHost.create();
});
afterEach(() => given.end());

test.each([
  ['a handler', "throw new Error('x')"],
  ['a timer', "context.clock.setTimeout(() => { throw 'no error at all'; }, 10)"],
  ['a background task', "context.background('b', async () => { throw 'no error at all'; })"],
  ['a promise', "Promise.reject(new Error('x'))"],
  ['a promise, much later', "setTimeout(() => Promise.reject(new Error('x')), 20)"],
  ['a bare timer', "setTimeout(() => { throw new Error('x'); }, 1)"],
  ['a microtask', "queueMicrotask(() => { throw new Error('x'); })"],
  ['a callback that another plugin calls', "help.listen(() => { throw new Error('x'); }); help.call()"],
])('%s is counted, and nobody else is blamed', async (_name, act) => {
  await given.start(act, { culprit: BY_STACK, bystander: BY_STACK });
  await given.provoke(3);
  await vi.waitFor(() => expect(given.find('culprit').state).toBe('quarantined'));
  expect(given.find('bystander')).toMatchObject({ state: 'active', crashes: 0 });
  expect(given.fatal).toEqual([]);
});

test('a failure that has no stack belongs to no plugin, and stops the host cleanly', async () => {
  await given.start("Promise.reject('no error at all')", { culprit: BY_STACK, bystander: BY_STACK });
  await given.host.bus.publishAndWait('act', 0);
  await vi.waitFor(() => expect(given.fatal.map(({ code }) => code)).toEqual(['host-uncaught']));
  expect(given.find('culprit')).toMatchObject({ state: 'stopped', crashes: 0 });
});

test('no asynchronous context is entered', async () => {
  const run = vi.spyOn(AsyncLocalStorage.prototype, 'run');
  try {
    await given.start('void help.call', { culprit: BY_STACK, bystander: BY_STACK });
    await given.host.bus.publishAndWait('act', 0);
    expect(run).not.toHaveBeenCalled();
  } finally {
    run.mockRestore();
  }
});
