// A failure that nobody caught is counted against the plugin in whose code it arose, wherever it comes to light.
// Three in five minutes and the plugin is quarantined; the host goes on.

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Host, PluginSummary } from '@datawarehouse/host';
import { DwError } from '@datawarehouse/sdk';
import { FakeClock } from '@datawarehouse/sdk/testing';
import { expectNoLeaks, processHoldings } from './support/leaks.js';
import type { LogLine } from './support/plugin-fixtures.js';
import { Workbench, memoryLog } from './support/plugin-fixtures.js';

const EVENTS = ['uncaughtException', 'unhandledRejection'] as const;

let bench: Workbench;
let clock: FakeClock;
let host: Host;
let before: Readonly<Record<string, number>>;
let lines: LogLine[];
let fatal: DwError[];
const foreign = new Map<string, NodeJS.UncaughtExceptionListener[]>();

beforeEach(async () => {
  // The test runner listens too, and would fail the run for what is provoked here.
  for (const event of EVENTS) {
    foreign.set(event, process.listeners(event as 'uncaughtException'));
    process.removeAllListeners(event);
  }
  bench = await Workbench.create();
  clock = new FakeClock();
  before = processHoldings();
  lines = [];
  fatal = [];
});
afterEach(async () => {
  await host.stop();
  await clock.advanceAsync(0);
  await expectNoLeaks(host, before, clock);
  await bench.remove();
  for (const [event, listeners] of foreign)
    for (const one of listeners) process.on(event as 'uncaughtException', one);
});

/** A host with plugin `culprit`, whose `act` runs when the test says, and `bystander`, which offers services. */
async function start(act: string, manifest: object = {}, entry: object = {}): Promise<string> {
  const culprit = await bench.plugin(
    'culprit',
    {
      manifest: { requires: ['help'], topics: { publish: ['>'], subscribe: ['>'] }, ...manifest },
      body: `activateAsync() {
        const { context } = this;
        const help = context.services.get({ id: 'help' });
        context.bus.subscribe('act', () => { ${act} });
      }`,
    },
    entry,
  );
  const bystander = await bench.plugin('bystander', {
    manifest: { provides: ['help'] },
    body: `initializeAsync(context) {
      let listener;
      context.services.provide({ id: 'help' }, {
        failInTheBackground() { Promise.reject(new Error('my own fault')); },
        listen(fn) { listener = fn; },
        call() { setImmediate(() => listener()); },
      });
    }`,
  });
  host = await bench.host([culprit, bystander], {
    clock,
    log: memoryLog(lines),
    onFatal: (error) => fatal.push(error),
  });
  const { url } = await host.start();
  return url;
}

const find = (id: string): PluginSummary => host.plugins.list().find((plugin) => plugin.id === id)!;

async function provoke(times = 1): Promise<void> {
  const expected = find('culprit').crashes + times;
  for (let i = 0; i < times; i++) {
    await host.bus.publishAndWait('act', i);
    await clock.advanceAsync(1_100);
  }
  await vi.waitFor(() => expect(find('culprit').crashes).toBe(expected));
}

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
  await start(act);
  await provoke(2);
  expect(find('culprit').state).toBe('active');
  await provoke();
  await vi.waitFor(() => expect(find('culprit').state).toBe('quarantined'));
  expect(find('culprit')).toMatchObject({ code: 'plugin-quarantined', crashes: 3 });
  expect(find('bystander')).toMatchObject({ state: 'active', crashes: 0 });
  expect(lines.some(({ code, plugin }) => code === 'plugin-crashed' && plugin === 'culprit')).toBe(true);
  expect(fatal).toEqual([]);
  // The operator's word brings it back, with a clean slate.
  expect(await host.plugins.enable('culprit')).toMatchObject({ state: 'active' });
  await provoke(2);
  expect(find('culprit').state).toBe('active');
});

test('a service that fails on its own is blamed on its provider, not on the caller', async () => {
  await start('help.failInTheBackground()');
  for (let i = 0; i < 3; i++) await host.bus.publishAndWait('act', i);
  await vi.waitFor(() => expect(find('bystander').state).toBe('quarantined'));
  expect(find('culprit')).toMatchObject({ state: 'blocked', crashes: 0 });
  expect(find('culprit').reason).toContain('bystander');
});

test('three crashes in more than five minutes are not too many', async () => {
  await start("throw new Error('x')");
  await provoke(2);
  await clock.advanceAsync(300_000);
  await provoke(2);
  expect(find('culprit')).toMatchObject({ state: 'active', crashes: 4 });
});

test('a DwError of a handler is a foreseen failure: told, and not counted', async () => {
  await start(
    "throw Object.assign(new Error('full'), { [Symbol.for('datawarehouse.DwError')]: true, code: 'queue-full' })",
  );
  for (let i = 0; i < 4; i++) await host.bus.publishAndWait('act', i);
  await vi.waitFor(() => expect(lines.some(({ code }) => code === 'queue-full')).toBe(true));
  expect(find('culprit')).toMatchObject({ state: 'active', crashes: 0 });
});

test('a request handler that throws answers 500 and is counted', async () => {
  const url = await start(
    "context.routes.add({ method: 'GET', path: '/v1/boom', summary: 's', handler: async () => { throw new Error('secret'); } })",
  );
  await host.bus.publishAndWait('act', 0);
  for (let i = 0; i < 3; i++) {
    const answer = await fetch(`${url}/v1/boom`);
    expect(answer.status).toBe(500);
    expect(await answer.text()).not.toContain('secret');
  }
  await vi.waitFor(() => expect(find('culprit').state).toBe('quarantined'));
  // Not 404: the path would be there if its plugin were.
  expect((await fetch(`${url}/v1/boom`)).status).toBe(503);
});

test('a failure that no plugin caused stops the host cleanly', async () => {
  await start('');
  setImmediate(() => {
    throw new Error('nobody knows');
  });
  await vi.waitFor(() => expect(fatal.map(({ code }) => code)).toEqual(['host-uncaught']));
  expect(host.failure?.message).toContain('nobody knows');
  expect(find('culprit').state).toBe('stopped');
});

test('a required plugin in quarantine is the end of the host', async () => {
  await start("throw new Error('x')", {}, { required: true });
  await provoke(3);
  await vi.waitFor(() => expect(fatal.map(({ code }) => code)).toEqual(['required-plugin-failed']));
});
