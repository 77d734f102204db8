import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Logger } from '@datawarehouse/sdk';
import { Discovery } from './discovery.js';
import { silentLog } from './kernel-kit.test.kit.js';
import { PackageResolver } from './package-resolver.js';

let root: string;
let resolver: PackageResolver;

async function write(file: string, value: unknown): Promise<string> {
  const path = join(root, file);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, typeof value === 'string' ? value : JSON.stringify(value));
  return dirname(path);
}
const manifest = (id: string, more: object = {}): object => ({
  id,
  sdk: '*',
  entry: 'package.json',
  ...more,
});

beforeEach(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), 'dw-resolver-')));
  await write('house/host/package.json', { name: '@house/host' });
  await write('house/plugin-a/package.json', { name: '@house/plugin-a', datawarehouse: manifest('a') });
  await write('house/library/package.json', { name: '@house/library' });
  await write('house/stranger/package.json', { name: 'stranger', datawarehouse: manifest('s') });
  await write('house/broken/package.json', '{');
  await write('house/nameless/dw-plugin.json', manifest('n'));
  await write('app/node_modules/@house/plugin-b/package.json', {
    name: '@house/plugin-b',
    datawarehouse: manifest('b', {
      replaces: { 'old.b': { size: 1, kept: true } },
      configSchema: { type: 'object' },
    }),
  });
  await write('app/node_modules/other/package.json', { name: 'other', datawarehouse: manifest('o') });
  await write('app/conf/node.json', '{}');
  resolver = new PackageResolver({ baseDir: join(root, 'app/conf'), hostDir: join(root, 'house/host') });
});
afterEach(() => rm(root, { recursive: true, force: true }));

test('what ships is of the host’s scope and has a manifest', async () => {
  expect((await resolver.shipped()).map(({ packageName }) => packageName)).toEqual([
    '@house/plugin-a',
    '@house/plugin-b',
  ]);
});

test('names are found up from the configuration, then beside the host', async () => {
  expect(await resolver.resolve('other')).toBe(join(root, 'app/node_modules/other'));
  expect(await resolver.resolve('@house/plugin-a')).toBe(join(root, 'house/plugin-a'));
  expect(await resolver.resolve('../node_modules/other')).toBe(join(root, 'app/node_modules/other'));
});

test.each(['missing', '@house/../../x', 'a/../b', './missing', '', '@x/y/z'])(
  '%j is not found',
  async (name) => {
    await expect(resolver.resolve(name)).rejects.toMatchObject({ code: 'plugin-not-found' });
  },
);

test('with no list, what ships is discovered', async () => {
  const found = await new Discovery(resolver, silentLog).discover(undefined);
  expect(found.map(({ id }) => id)).toEqual(['a', 'b']);
});

test('an old id leads to the plugin that replaces it, with a warning and that id’s configuration', async () => {
  const warnings: unknown[] = [];
  const log: Logger = { ...silentLog, warn: (fields: unknown) => void warnings.push(fields) };
  const discovery = new Discovery(resolver, log);
  const found = await discovery.read({ package: 'old.b', config: { size: 2 } });
  expect(found).toMatchObject({ id: 'b', definition: { config: { size: 2, kept: true } } });
  expect(warnings).toEqual([{ code: 'plugin-id-deprecated', plugin: 'b', replaces: 'old.b' }]);
  expect(await discovery.read({ package: 'old.c' })).toMatchObject({ failure: { code: 'plugin-not-found' } });
});
