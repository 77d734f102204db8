import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PluginManifestSchema } from '@datawarehouse/sdk';
import { Ajv } from 'ajv';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createPlugin } from './plugin-create.js';

let parent = '';
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'dw-create-'));
});
afterEach(async () => {
  await rm(parent, { recursive: true, force: true });
});

describe('a new plugin', () => {
  it('has a manifest that the host accepts', async () => {
    const directory = await createPlugin({ name: 'order-counter', parent });
    const manifest = JSON.parse(await readFile(join(directory, 'package.json'), 'utf8')) as {
      datawarehouse: unknown;
    };
    expect(new Ajv({ strict: false }).validate(PluginManifestSchema, manifest.datawarehouse)).toBe(true);
    expect(await readFile(join(directory, 'src/plugin.ts'), 'utf8')).toContain('class OrderCounter');
  });

  it.each(['', 'Upper', '../out', 'a b', '-x', 'x'.repeat(65)])(
    'is refused under the name "%s"',
    async (name) => {
      await expect(createPlugin({ name, parent })).rejects.toMatchObject({ code: 'plugin-name-invalid' });
      expect(await readdir(parent)).toEqual([]);
    },
  );

  it('is refused under an id that is none', async () => {
    await expect(createPlugin({ name: 'x', parent, id: 'One' })).rejects.toMatchObject({
      code: 'plugin-id-invalid',
    });
  });

  it('never writes over a folder that holds something', async () => {
    await createPlugin({ name: 'twice', parent });
    await expect(createPlugin({ name: 'twice', parent })).rejects.toMatchObject({
      code: 'plugin-directory-not-empty',
    });
  });
});
