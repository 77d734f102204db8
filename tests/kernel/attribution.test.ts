// A failure that nobody caught is counted against the plugin in whose code it arose, wherever it comes to light.
// Three in five minutes and the plugin is quarantined; the host goes on.

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { CulpritHost } from './support/culprit-host.js';

let given: CulpritHost;
beforeEach(async () => {
  given = await CulpritHost.create();
});
afterEach(() => given.end());

test.each([
  ['a handler', "throw new Error('x')"],
  ['a handler that rejects', "return Promise.reject(new Error('x'))"],
  ['a timer', "context.clock.setTimeout(() => { throw new Error('x'); }, 10)"],
  ['an asynchronous timer', "context.clock.setTimeout(async () => { throw new Error('x'); }, 10)"],
  ['a background task', "context.background('b', async () => { throw new Error('x'); })"],
  ['a promise', "Promise.reject(new Error('x'))"],
  ['a promise, much later', "setTimeout(() => Promise.reject(new Error('x')), 20)"],
  ['a bare timer', "setTimeout(() => { throw new Error('x'); }, 1)"],
  ['an immediate', "setImmediate(() => { throw new Error('x'); })"],
  ['a microtask', "queueMicrotask(() => { throw new Error('x'); })"],
  ['a value that cannot be shown', 'Promise.reject({ get message() { throw 1; }, toJSON() { throw 2; } })'],
  ['a callback that another plugin calls', "help.listen(() => { throw new Error('x'); }); help.call()"],
])('%s is counted, and the third time is the last', async (_name, act) => {
  await given.start(act);
  await given.provoke(2);
  expect(given.find('culprit').state).toBe('active');
  await given.provoke();
  await vi.waitFor(() => expect(given.find('culprit').state).toBe('quarantined'));
  expect(given.find('culprit')).toMatchObject({ code: 'plugin-quarantined', crashes: 3 });
  expect(given.find('bystander')).toMatchObject({ state: 'active', crashes: 0 });
  expect(given.lines.some(({ code, plugin }) => code === 'plugin-crashed' && plugin === 'culprit')).toBe(
    true,
  );
  expect(given.fatal).toEqual([]);
  // The operator's word brings it back, with a clean slate.
  expect(await given.host.plugins.enable('culprit')).toMatchObject({ state: 'active' });
  await given.provoke(2);
  expect(given.find('culprit').state).toBe('active');
});

test('a service that fails on its own is blamed on its provider, not on the caller', async () => {
  await given.start('help.failInTheBackground()');
  for (let i = 0; i < 3; i++) await given.host.bus.publishAndWait('act', i);
  await vi.waitFor(() => expect(given.find('bystander').state).toBe('quarantined'));
  expect(given.find('culprit')).toMatchObject({ state: 'blocked', crashes: 0 });
  expect(given.find('culprit').reason).toContain('bystander');
});

test('three crashes in more than five minutes are not too many', async () => {
  await given.start("throw new Error('x')");
  await given.provoke(2);
  await given.clock.advanceAsync(300_000);
  await given.provoke(2);
  expect(given.find('culprit')).toMatchObject({ state: 'active', crashes: 4 });
});

test('a DwError of a handler is a foreseen failure: told, and not counted', async () => {
  await given.start(
    "throw Object.assign(new Error('full'), { [Symbol.for('datawarehouse.DwError')]: true, code: 'queue-full' })",
  );
  for (let i = 0; i < 4; i++) await given.host.bus.publishAndWait('act', i);
  await vi.waitFor(() => expect(given.lines.some(({ code }) => code === 'queue-full')).toBe(true));
  expect(given.find('culprit')).toMatchObject({ state: 'active', crashes: 0 });
});

test('a request handler that throws answers 500 and is counted', async () => {
  const url = await given.start(
    "context.routes.add({ method: 'GET', path: '/v1/boom', summary: 's', handler: async () => { throw new Error('secret'); } })",
  );
  await given.host.bus.publishAndWait('act', 0);
  for (let i = 0; i < 3; i++) {
    const answer = await fetch(`${url}/v1/boom`);
    expect(answer.status).toBe(500);
    expect(await answer.text()).not.toContain('secret');
  }
  await vi.waitFor(() => expect(given.find('culprit').state).toBe('quarantined'));
  // Not 404: the path would be there if its plugin were.
  expect((await fetch(`${url}/v1/boom`)).status).toBe(503);
});

test('a failure that no plugin caused stops the host cleanly', async () => {
  await given.start('');
  setImmediate(() => {
    throw new Error('nobody knows');
  });
  await vi.waitFor(() => expect(given.fatal.map(({ code }) => code)).toEqual(['host-uncaught']));
  expect(given.host.failure?.message).toContain('nobody knows');
  expect(given.find('culprit').state).toBe('stopped');
});

test('a required plugin in quarantine is the end of the host', async () => {
  await given.start("throw new Error('x')", {}, { required: true });
  await given.provoke(3);
  await vi.waitFor(() => expect(given.fatal.map(({ code }) => code)).toEqual(['required-plugin-failed']));
});
