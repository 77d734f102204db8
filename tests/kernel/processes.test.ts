// What only a process of its own can show: how a host ends, what becomes of its data directory when it is killed, and
// that the bytes of an entry are checked as they are loaded.

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { PluginEntry } from '@datawarehouse/host';
import { TestProcess } from '../support/processes.js';
import { Workbench } from './support/plugin-fixtures.js';

const SCRIPT = fileURLToPath(new URL('fixtures/run-host.mjs', import.meta.url));
const HOOK = new URL('../../packages/host/bin/integrity-hook.mjs', import.meta.url);

let bench: Workbench;
const started: TestProcess[] = [];

beforeEach(async () => {
  bench = await Workbench.create();
});
afterEach(async () => {
  for (const one of started.splice(0)) {
    one.child.kill('SIGKILL');
    await one.exited;
  }
  await bench.remove();
});

async function run(plugins: readonly PluginEntry[]): Promise<TestProcess> {
  const file = join(bench.directory, 'node.json');
  const config = {
    nodeId: 'n1',
    dataDir: join(bench.directory, 'data'),
    http: { host: '127.0.0.1', port: 0 },
    peer: { host: '127.0.0.1', port: 0 },
    plugins,
  };
  await writeFile(file, JSON.stringify(config));
  const one = TestProcess.start('host', process.execPath, [SCRIPT, file]);
  started.push(one);
  return one;
}

/** Waits for the process to print a line that matches. */
async function printed(one: TestProcess, pattern: RegExp): Promise<void> {
  await expect.poll(() => one.output, { timeout: 60_000, interval: 20 }).toMatch(pattern);
}

test('SIGTERM stops cleanly and exits 0', async () => {
  const one = await run([await bench.plugin('p')]);
  await printed(one, /ready http/);
  one.child.kill('SIGTERM');
  expect(await one.exited).toEqual({ code: 0, signal: null });
});

test('a failure that no plugin caused is logged with its code, and the exit code is not 0', async () => {
  const one = await run([await bench.plugin('p')]);
  await printed(one, /ready http/);
  one.child.kill('SIGUSR2');
  expect(await one.exited).toEqual({ code: 70, signal: null });
  expect(one.output).toMatch(/"code":"host-uncaught"/);
  expect(one.output).toContain('nobody knows');
  expect(one.output).toContain('"stopped"');
});

test('a store whose disk fails is the end of the host, which says so', async () => {
  const body = `activateAsync() {
    const { store, clock } = this.context;
    const write = () => store.writeAsync(this.context.storePath('a'), new Uint8Array(1000)).catch(() => {});
    clock.setInterval(write, 20);
  }`;
  const one = await run([await bench.plugin('p', { body })]);
  await printed(one, /ready http/);
  // From now on the system refuses every write to a file, as it does on a full disk.
  execFileSync('prlimit', ['--pid', String(one.child.pid), '--fsize=0']);
  expect(await one.exited).toEqual({ code: 70, signal: null });
  expect(one.output).toMatch(/"code":"host-store-failed"/);
});

test('a data directory is one process’s, and free at once when that is killed', async () => {
  const entry = await bench.plugin('p');
  const first = await run([entry]);
  await printed(first, /ready http/);
  const second = await run([entry]);
  await printed(second, /refused data-dir-in-use/);
  expect((await second.exited).code).toBe(1);
  first.child.kill('SIGKILL');
  await first.exited;
  await printed(await run([entry]), /ready http/);
});

describe('integrity', () => {
  const text = `export class plugin { id = 'p'; name = 'P'; version = '1.0.0';
    initializeAsync(context) { context.log.info('it runs'); }
    activateAsync() {} drainAsync() {} shutdownAsync() {} checkHealthAsync() { return { status: 'healthy' }; } }`;
  const sha = (data: string): string => `sha256-${createHash('sha256').update(data).digest('base64')}`;

  test('an entry with the right hash is loaded through the hook', async () => {
    const one = await run([
      await bench.plugin('p', { module: text, manifest: { integrity: sha(text) } }, { required: true }),
    ]);
    await printed(one, /ready http/);
    expect(one.output).toContain('it runs');
  });

  test('the hook refuses bytes that are not those that were vouched for', async () => {
    const { load } = (await import(HOOK.href)) as {
      load: (url: string, context: unknown, next: () => Promise<unknown>) => Promise<unknown>;
    };
    const url = new URL('file:///plugins/p/index.mjs');
    url.searchParams.set('dw-integrity', sha(text));
    const loading = (source: unknown, href = url.href): Promise<unknown> =>
      load(href, {}, async () => ({ format: 'module', source }));
    await expect(loading(`${text} `)).rejects.toThrow('changed');
    await expect(loading(null)).rejects.toThrow('cannot be checked');
    await expect(loading(new TextEncoder().encode(text).buffer)).resolves.toMatchObject({ format: 'module' });
    await expect(loading('anything', 'file:///plugins/p/other.mjs')).resolves.toMatchObject({
      format: 'module',
    });
  });
});
