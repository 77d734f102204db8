// Writes a new plugin that works as it stands: one topic, one durable value, one route, and a test of all three.

import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { DwError, SDK_VERSION } from '@datawarehouse/sdk';
import { pluginTemplate } from './plugin-template.js';

const NAME = /^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$/;
const ID = /^[a-z0-9][a-z0-9-]*(?:\.[a-z0-9][a-z0-9-]*)+$/;

/** What {@link createPlugin} is asked for. */
export interface PluginCreateOptions {
  /** Name of the plugin and of its folder: lower-case words joined by `-`. */
  readonly name: string;
  /** Folder in which the plugin's folder is made. */
  readonly parent: string;
  /** Id in the manifest; default `com.example.<name>`. */
  readonly id?: string;
}

/**
 * How the new package names the SDK: the published version, or the checkout's folder when the host itself runs from a
 * checkout, where no published version need exist.
 */
function sdkSpecifier(directory: string): string {
  const home = dirname(createRequire(import.meta.url).resolve('@datawarehouse/sdk/package.json'));
  if (home.split(sep).includes('node_modules')) return `^${SDK_VERSION}`;
  return `file:${relative(directory, home).split(sep).join('/')}`;
}

async function assertFree(directory: string): Promise<void> {
  const entries = await readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  if (entries.length > 0) {
    throw new DwError({
      code: 'plugin-directory-not-empty',
      message: `${directory} exists and is not empty`,
      hint: 'choose another name, or remove the folder',
    });
  }
}

/**
 * Makes the plugin's folder and files.
 * @returns the folder.
 * @throws DwError `plugin-name-invalid`, `plugin-id-invalid`, `plugin-directory-not-empty`; nothing is written then.
 */
export async function createPlugin(options: PluginCreateOptions): Promise<string> {
  if (!NAME.test(options.name) || options.name.length > 64) {
    throw new DwError({
      code: 'plugin-name-invalid',
      message: `"${options.name}" is not a plugin name: lower-case words of letters and digits joined by "-", at most 64 characters`,
      hint: 'use a name such as "order-counter"',
    });
  }
  const id = options.id ?? `com.example.${options.name}`;
  if (!ID.test(id) || id.length > 128) {
    throw new DwError({
      code: 'plugin-id-invalid',
      message: `"${id}" is not a plugin id: lower-case words joined by dots, at least two`,
      hint: 'use your domain reversed, such as "com.example.order-counter"',
    });
  }
  const directory = resolve(options.parent, options.name);
  await assertFree(directory);
  for (const [path, text] of pluginTemplate({ name: options.name, id, sdk: sdkSpecifier(directory) })) {
    const file = join(directory, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text, { flag: 'wx' });
  }
  return directory;
}
