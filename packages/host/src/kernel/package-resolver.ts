// Finds the directories of plugin packages: by path, by name up the node_modules of the configuration and of the
// host, or, when nothing is configured, all that ship beside the host.

import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { discoveryErrors } from '../errors.js';
import { looksLikePlugin } from './manifest-reader.js';

/** Names npm allows. A name can hold no `..`, so it cannot lead out of node_modules. */
const PACKAGE_NAME = /^(?:@[a-z0-9-~][a-z0-9-._~]*\/)?[a-z0-9-~][a-z0-9-._~]*$/;

/** Directory of the host's own package. */
export const HOST_PACKAGE_DIR = resolve(dirname(fileURLToPath(import.meta.url)), '..', '..');

/** Where packages are looked for. */
export interface ResolverOptions {
  /** Directory of the configuration file. */
  readonly baseDir: string;
  /** Directory of the host's package; default {@link HOST_PACKAGE_DIR}. */
  readonly hostDir?: string;
}

function isPath(name: string): boolean {
  return isAbsolute(name) || /^\.{1,2}(?:[/\\]|$)/.test(name);
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    // Absent or not to be looked at: not a directory we can load from.
    return false;
  }
}

function ancestors(directory: string): string[] {
  const parent = dirname(directory);
  return parent === directory ? [directory] : [directory, ...ancestors(parent)];
}

async function children(directory: string): Promise<string[]> {
  try {
    return (await readdir(directory)).sort().map((name) => join(directory, name));
  } catch {
    // Most ancestors have no such directory.
    return [];
  }
}

async function packageNameOf(directory: string): Promise<string | undefined> {
  try {
    const text = await readFile(join(directory, 'package.json'), 'utf8');
    const { name } = JSON.parse(text) as { name?: unknown };
    return typeof name === 'string' ? name : undefined;
  } catch {
    // No package.json, or none that can be read: the directory has no name to go by.
    return undefined;
  }
}

/** Finds plugin packages. */
export class PackageResolver {
  private readonly baseDir: string;
  private readonly hostDir: string;

  constructor(options: ResolverOptions) {
    this.baseDir = options.baseDir;
    this.hostDir = options.hostDir ?? HOST_PACKAGE_DIR;
  }

  /**
   * The directory of a package.
   * @throws DwError `plugin-not-found` naming where it was looked for.
   */
  async resolve(name: string): Promise<string> {
    if (isPath(name)) {
      const directory = resolve(this.baseDir, name);
      if (await isDirectory(directory)) return realpath(directory);
      throw discoveryErrors.notFound(name, [directory]);
    }
    if (!PACKAGE_NAME.test(name)) throw discoveryErrors.notFound(name, []);
    const roots = [...new Set([...ancestors(this.baseDir), ...ancestors(await realpath(this.hostDir))])];
    const candidates = roots.map((root) => join(root, 'node_modules', name));
    for (const candidate of candidates) if (await isDirectory(candidate)) return realpath(candidate);
    const shipped = (await this.shipped()).find(({ packageName }) => packageName === name);
    if (shipped !== undefined) return shipped.directory;
    throw discoveryErrors.notFound(name, candidates);
  }

  /**
   * Plugins that ship with the host: packages of the host's own scope with a manifest, in the directory that holds
   * the host's package or in a node_modules up from the configuration. Sorted by package name.
   */
  async shipped(): Promise<readonly { readonly packageName: string; readonly directory: string }[]> {
    const hostDir = await realpath(this.hostDir);
    const scope = (await packageNameOf(hostDir))?.split('/')[0];
    if (scope === undefined || !scope.startsWith('@')) return [];
    const installed = ancestors(this.baseDir).map((root) => join(root, 'node_modules', scope));
    const found = new Map<string, string>();
    for (const parent of [dirname(hostDir), ...installed]) {
      for (const candidate of await children(parent)) {
        if (!(await looksLikePlugin(candidate))) continue;
        const directory = await realpath(candidate);
        const name = await packageNameOf(directory);
        if (name?.startsWith(`${scope}/`) === true && !found.has(name)) found.set(name, directory);
      }
    }
    return [...found]
      .map(([packageName, directory]) => ({ packageName, directory }))
      .sort((a, b) => (a.packageName < b.packageName ? -1 : 1));
  }
}
