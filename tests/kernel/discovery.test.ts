// From packages on disk to plugins: what is accepted, what is refused, and with which words. What is wrong with one
// plugin harms no other.

import { createHash } from 'node:crypto';
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Host, PluginEntry, PluginSummary } from '@datawarehouse/host';
import { SDK_VERSION } from '@datawarehouse/sdk';
import { expectNoLeaks, processHoldings } from './support/leaks.js';
import { Workbench, memoryLog } from './support/plugin-fixtures.js';

let bench: Workbench;
let before: Readonly<Record<string, number>>;
let host: Host | undefined;

beforeEach(async () => {
  bench = await Workbench.create();
  before = processHoldings();
});
afterEach(async () => {
  await host?.stop();
  if (host !== undefined) await expectNoLeaks(host, before);
  host = undefined;
  await bench.remove();
});

async function run(...entries: PluginEntry[]): Promise<readonly PluginSummary[]> {
  const good = await bench.plugin('good.one');
  host = await bench.host([...entries, good]);
  await host.start();
  const plugins = host.plugins.list();
  expect(plugins.find(({ id }) => id === 'good.one')?.state).toBe('active');
  return plugins.filter(({ id }) => id !== 'good.one');
}

const module = (members: string, head = ''): string => `${head}
export class Plugin { id = 'p'; name = 'P'; version = '1.0.0';
  initializeAsync() {} activateAsync() {} drainAsync() {} shutdownAsync() {} checkHealthAsync() {}
  ${members} }
export { Plugin as plugin };`;
const builtFor = (version: string): string =>
  `Object.defineProperty(Plugin, Symbol.for('datawarehouse.SdkCompatibility'), { value: '${version}' });`;
const sha = (text: string): string => `sha256-${createHash('sha256').update(text).digest('base64')}`;

test.each([
  ['an unknown field', { manifest: { what: 1 } }, 'plugin-manifest-invalid', 'what'],
  ['a wrong id', { manifest: { id: 'No Good' } }, 'plugin-manifest-invalid', 'id'],
  ['no semver range', { manifest: { sdk: 'newest' } }, 'plugin-manifest-invalid', 'semver'],
  [
    'a topic that is none',
    { manifest: { topics: { publish: ['a..b'] } } },
    'plugin-manifest-invalid',
    'a..b',
  ],
  ['another SDK', { manifest: { sdk: '^9.0.0' } }, 'plugin-sdk-range', '^9.0.0'],
  ['an entry that is not there', { manifest: { entry: 'dist/x.js' } }, 'plugin-entry-missing', 'dist/x.js'],
  ['an entry that is a directory', { manifest: { entry: './..' } }, 'plugin-entry-outside', './..'],
  ['an entry elsewhere', { manifest: { entry: '../../data/x.mjs' } }, 'plugin-entry-outside', '../../data'],
  ['an absolute entry', { manifest: { entry: '/etc/passwd' } }, 'plugin-entry-outside', '/etc/passwd'],
  ['a wrong hash', { manifest: { integrity: sha('other') } }, 'plugin-integrity-mismatch', sha('other')],
  ['no export', { module: 'export const plug = 1;' }, 'plugin-export-invalid', 'plug'],
  ['an export that is no class', { module: 'export const plugin = {};' }, 'plugin-export-invalid', 'object'],
  [
    'a factory of nothing',
    { module: 'export const plugin = () => null;' },
    'plugin-shape-invalid',
    'an object',
  ],
  [
    'members missing',
    { module: 'export class plugin { id = "p"; }' },
    'plugin-shape-invalid',
    'activateAsync',
  ],
  ['another id', { module: module('').replace("'p'", "'q'") }, 'plugin-id-mismatch', 'q'],
  ['another major', { module: `${module('')}\n${builtFor('2.1.0')}` }, 'plugin-sdk-major', '2.1.0'],
  ['an import that fails', { module: "import 'no-such-package-anywhere';" }, 'plugin-step-failed', 'no-such'],
  ['a syntax error', { module: 'export class {' }, 'plugin-step-failed', 'load'],
])('%s is refused with a code and a name', async (_name, source, code, words) => {
  const [summary] = await run(await bench.plugin('p', source));
  expect(summary).toMatchObject({ state: 'failed', code });
  expect(summary?.reason).toContain(words);
});

test('both SDK versions are named when they do not go together', async () => {
  const [summary] = await run(await bench.plugin('p', { module: `${module('')}\n${builtFor('2.0.0')}` }));
  expect(summary?.reason).toContain('2.0.0');
  expect(summary?.reason).toContain(SDK_VERSION);
});

test('a plugin built for this major is accepted, also from a factory', async () => {
  const text = `${module('')}\n${builtFor('1.0.0')}`.replace(
    '{ Plugin as plugin }',
    'const plugin = async () => new Plugin()',
  );
  const [summary] = await run(await bench.plugin('p', { module: text, manifest: { integrity: sha(text) } }));
  expect(summary?.state).toBe('active');
});

test('a manifest may stand in a file of its own, but not in two places', async () => {
  const alone = join(bench.directory, 'alone');
  await mkdir(alone);
  const manifest = JSON.stringify({ id: 'p', sdk: '*', entry: 'index.mjs' });
  await writeFile(join(alone, 'dw-plugin.json'), manifest);
  await writeFile(join(alone, 'index.mjs'), module(''));
  const twice = await bench.plugin('twice');
  await writeFile(join(twice.package, 'dw-plugin.json'), manifest);
  const empty = join(bench.directory, 'empty');
  await mkdir(empty);
  const broken = join(bench.directory, 'broken');
  await mkdir(broken);
  await writeFile(join(broken, 'package.json'), '{');
  const plugins = await run({ package: './alone' }, twice, { package: empty }, { package: broken });
  expect(plugins.map(({ id, code }) => [id, code])).toEqual([
    [broken, 'plugin-manifest-invalid'],
    [empty, 'plugin-manifest-missing'],
    [twice.package, 'plugin-manifest-invalid'],
    ['p', undefined],
  ]);
});

test('an entry that leads out of the package by a link is refused', async () => {
  const secret = join(bench.directory, 'secret.mjs');
  await writeFile(secret, module(''));
  const entry = await bench.plugin('p');
  await rm(join(entry.package, 'index.mjs'));
  await symlink(secret, join(entry.package, 'index.mjs'));
  expect((await run(entry))[0]).toMatchObject({ code: 'plugin-entry-outside' });
});

test('packages are found by name up the node_modules, and those that are not are named', async () => {
  const { package: directory } = await bench.plugin('p');
  await mkdir(join(bench.directory, 'node_modules', '@vendor'), { recursive: true });
  await symlink(directory, join(bench.directory, 'node_modules', '@vendor', 'p'));
  const plugins = await run(
    { package: '@vendor/p' },
    { package: '@vendor/q' },
    { package: '../../../no-such' },
  );
  expect(plugins.map(({ id, state, code }) => [id, state, code])).toEqual([
    ['../../../no-such', 'failed', 'plugin-not-found'],
    ['@vendor/q', 'failed', 'plugin-not-found'],
    ['p', 'active', undefined],
  ]);
});

test('the second package of an id is refused, and both are named', async () => {
  const first = await bench.plugin('p');
  const second = { package: join(bench.directory, 'copy') };
  await symlink(first.package, second.package);
  const plugins = await run(first, second);
  expect(plugins.map(({ id, state, code }) => [id, state, code])).toEqual([
    [second.package, 'failed', 'plugin-duplicate-id'],
    ['p', 'active', undefined],
  ]);
  expect(plugins[0]?.reason).toContain(first.package);
  expect(plugins[0]?.reason).toContain(second.package);
});

test('configuration is checked against the schema, with defaults', async () => {
  const source = {
    manifest: {
      configSchema: {
        type: 'object',
        properties: { size: { type: 'integer', default: 7 }, name: { type: 'string' } },
        additionalProperties: false,
      },
    },
    module: module(
      'initializeAsync(context) { this.name = JSON.stringify(context.config); globalThis.seen = this.name; }',
    ),
  };
  const plugins = await run(await bench.plugin('p', source, { config: { name: 'x' } }));
  expect(plugins[0]?.state).toBe('active');
  expect((globalThis as { seen?: string }).seen).toBe('{"name":"x","size":7}');
});

test('wrong configuration names the field', async () => {
  const source = {
    manifest: { configSchema: { type: 'object', properties: { size: { type: 'integer' } } } },
  };
  const none = await bench.plugin('q', {}, { config: { a: 1 } });
  const plugins = await run(await bench.plugin('p', source, { config: { size: 'big' } }), none);
  for (const { code } of plugins) expect(code).toBe('plugin-config-invalid');
  expect(plugins[0]?.reason).toContain('size');
});

test('with no list of plugins the host loads what ships with it, and old ids lead to new plugins', async () => {
  const log = memoryLog();
  host = await bench.host(undefined, { log });
  await host.start();
  for (const { package: name } of host.plugins.list()) expect(name).toMatch(/^@datawarehouse\/plugin-/);
});

test('a disabled plugin is listed and not loaded', async () => {
  const entry = await bench.plugin('p', { head: "throw new Error('loaded');" }, { enabled: false });
  expect((await run(entry))[0]).toMatchObject({ state: 'disabled', requires: [] });
});
