// A host of 200 plugins of which many misbehave: it is ready when the last deadline has passed, everybody else
// serves, every culprit is named with its phase, and it stops cleanly. Time is a fake clock's, so the bounds that are
// checked are the host's own and not the machine's.

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { PluginEntry, PluginPhase } from '@datawarehouse/host';
import { FakeClock } from '@datawarehouse/sdk/testing';
import { expectNoLeaks, processHoldings } from './support/leaks.js';
import type { PluginSource } from './support/plugin-fixtures.js';
import { Workbench, memoryLog } from './support/plugin-fixtures.js';

const DEADLINE = 1_000;
const KERNEL = {
  loadMs: DEADLINE,
  initializeMs: DEADLINE,
  activateMs: DEADLINE,
  drainMs: 300,
  shutdownMs: 300,
  disposeMs: 100,
};
const NEVER = 'new Promise(() => {})';
const FACTORY = (code: string): PluginSource => ({
  module: `export const plugin = async () => { ${code} };`,
});
const LATER = 'await new Promise((resolve) => this.context.clock.setTimeout(resolve, 400));';

interface Kind {
  readonly phase: PluginPhase;
  readonly source: PluginSource;
}

const HANGS: readonly Kind[] = [
  { phase: 'load', source: { head: `await ${NEVER};` } },
  { phase: 'construct', source: FACTORY(`await ${NEVER}`) },
  { phase: 'initialize', source: { body: `initializeAsync() { return ${NEVER}; }` } },
  { phase: 'activate', source: { body: `activateAsync() { return ${NEVER}; }` } },
];
const THROWS: readonly Kind[] = [
  { phase: 'load', source: { head: 'throw new Error("no module");' } },
  { phase: 'construct', source: { body: 'constructor() { throw new Error("no object"); }' } },
  { phase: 'initialize', source: { body: 'initializeAsync() { throw new Error("no start"); }' } },
  { phase: 'activate', source: { body: 'activateAsync() { throw new Error("no work"); }' } },
];
const REJECTS: readonly Kind[] = [
  {
    phase: 'initialize',
    source: { body: `async initializeAsync(c) { this.context = c; ${LATER} throw new Error('late'); }` },
  },
  { phase: 'activate', source: { body: `async activateAsync() { ${LATER} throw new Error('late'); }` } },
];
const NEVER_STOP: readonly Kind[] = [
  { phase: 'drain', source: { body: `drainAsync() { return ${NEVER}; }` } },
  { phase: 'shutdown', source: { body: `shutdownAsync() { return ${NEVER}; }` } },
  {
    phase: 'dispose',
    source: { body: `activateAsync() { this.context.onDispose(() => ${NEVER}); }` },
  },
];
const GOOD: PluginSource = {
  manifest: { topics: { publish: ['t.>'], subscribe: ['t.>'] } },
  body: `activateAsync() {
    this.context.bus.subscribe('t.' + this.id.replaceAll('.', '-'), () => {});
    this.context.clock.setInterval(() => {}, 60_000);
    this.context.routes.add({ method: 'GET', path: '/v1/test/' + this.id, summary: 's',
      handler: () => ({ body: { id: this.id } }) });
  }`,
};

let bench: Workbench;
beforeEach(async () => {
  bench = await Workbench.create();
});
afterEach(() => bench.remove());

test('200 plugins, 35 of which misbehave', async () => {
  const before = processHoldings();
  const clock = new FakeClock();
  const log = memoryLog();
  const entries: Promise<PluginEntry>[] = [];
  const culprits = new Map<string, PluginPhase>();
  const add = (name: string, count: number, kinds: readonly Kind[]): string[] =>
    Array.from({ length: count }, (_, i) => {
      const kind = kinds[i % kinds.length]!;
      const id = `${name}.p${i}`;
      culprits.set(id, kind.phase);
      entries.push(bench.plugin(id, kind.source));
      return id;
    });
  add('hang', 10, HANGS);
  add('throw', 10, THROWS);
  add('late', 10, REJECTS);
  const stuck = add('stuck', 5, NEVER_STOP);
  for (let i = 0; i < 165; i++) entries.push(bench.plugin(`good.p${i}`, GOOD));
  const host = await bench.host(await Promise.all(entries), { clock, log, kernel: KERNEL });
  const states = (prefix: string): string[] =>
    host.plugins.list().flatMap(({ id, state }) => (id.startsWith(prefix) ? [state] : []));

  let ready: { readonly url: string; readonly at: number } | undefined;
  const starting = host.start().then(({ url }) => (ready = { url, at: clock.now() }));
  // No time passes until everybody who gets anywhere without time is there.
  await vi.waitFor(
    () => {
      expect(states('good').every((state) => state === 'active')).toBe(true);
      expect(states('good')).toHaveLength(165);
      expect(states('stuck').every((state) => state === 'active')).toBe(true);
      expect(states('throw').every((state) => state === 'failed')).toBe(true);
      expect(host.plugins.list().filter(({ state }) => state === 'initializing')).toHaveLength(2 + 5);
      expect(host.plugins.list().filter(({ state }) => state === 'activating')).toHaveLength(2 + 5);
      expect(host.plugins.list().filter(({ state }) => state === 'loading')).toHaveLength(3 + 3);
    },
    { timeout: 60_000, interval: 20 },
  );
  expect(ready).toBeUndefined();
  await clock.advanceAsync(DEADLINE - 1);
  expect(ready, 'those that hang have until the deadline').toBeUndefined();
  await clock.advanceAsync(1);
  await starting;

  expect(ready?.at).toBeLessThanOrEqual(DEADLINE + 100);
  const active = host.plugins.list().filter(({ state }) => state === 'active');
  expect(active).toHaveLength(170);
  const answers = await Promise.all(
    Array.from({ length: 165 }, async (_, i) => (await fetch(`${ready?.url}/v1/test/good.p${i}`)).status),
  );
  expect(new Set(answers)).toEqual(new Set([200]));
  const failed = host.plugins.list().filter(({ state }) => state === 'failed');
  expect(failed).toHaveLength(30);
  for (const { id, phase, reason, code } of failed) {
    expect([id, phase]).toEqual([id, culprits.get(id)]);
    expect(reason).toContain(id);
    expect(code).toBe(id.startsWith('hang') ? 'plugin-step-timeout' : 'plugin-step-failed');
    expect(log.lines.some((line) => line['plugin'] === id && line['phase'] === phase && line['hint'])).toBe(
      true,
    );
  }

  const stoppedFrom = clock.now();
  const stopping = host.stop();
  await clock.advanceAsync(KERNEL.drainMs + KERNEL.shutdownMs + KERNEL.disposeMs);
  await vi.waitFor(() => expect(host.plugins.list().some(({ state }) => state === 'draining')).toBe(false));
  await stopping;
  expect(clock.now() - stoppedFrom).toBeLessThanOrEqual(700);
  for (const id of stuck) {
    const summary = host.plugins.list().find((plugin) => plugin.id === id);
    expect([id, summary?.state, summary?.phase, summary?.code]).toEqual([
      id,
      'stopped',
      culprits.get(id),
      'plugin-step-timeout',
    ]);
  }
  await clock.advanceAsync(0);
  await expectNoLeaks(host, before, clock);
});
