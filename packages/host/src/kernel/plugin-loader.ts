// Loads a plugin's module and makes the plugin's object. An ES module cannot be unloaded: each reload imports the
// entry under a new URL, and the code of earlier ones stays in memory (some 100 KB a time for a small plugin). What
// the entry imports in turn comes from the module cache, so a reload sees a new entry, but not new inner files; to
// exchange those, restart the host.

import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { register } from 'node:module';
import { pathToFileURL } from 'node:url';
import semver from 'semver';
import { SDK_VERSION, sdkCompatibilityOf } from '@datawarehouse/sdk';
import type { PluginBase, PluginExport } from '@datawarehouse/sdk';
import { loadErrors } from '../errors.js';
import type { PluginDefinition } from './discovery.js';

/** Imports a module by URL. */
export type ImportModule = (url: string) => Promise<unknown>;

const STEPS = [
  'initializeAsync',
  'activateAsync',
  'drainAsync',
  'shutdownAsync',
  'checkHealthAsync',
] as const;

/** Query parameter by which the hook knows what to check. */
const INTEGRITY_PARAMETER = 'dw-integrity';
/** Checks the very bytes that are loaded; see there. It stands as far from `src/kernel` as from `dist/kernel`. */
const HOOK = new URL('../../bin/integrity-hook.mjs', import.meta.url);

let hookRegistered = false;
let loads = 0;

function sha256Of(data: Uint8Array): string {
  return `sha256-${createHash('sha256').update(data).digest('base64')}`;
}

function registerHook(): void {
  if (hookRegistered) return;
  register(HOOK);
  hookRegistered = true;
}

const importModule: ImportModule = (url) => import(url) as Promise<unknown>;

function isClass(value: PluginExport): value is new () => PluginBase {
  if (Function.prototype.toString.call(value).startsWith('class')) return true;
  const prototype = value.prototype as Partial<PluginBase> | undefined;
  return typeof prototype?.initializeAsync === 'function';
}

function assertSdk(id: string, target: unknown): void {
  const built = sdkCompatibilityOf(target);
  if (built === undefined) return;
  // A `1.4.0` plugin on a `1.2.0` host is the business of the manifest's range; another major cannot work at all.
  if (semver.major(built) !== semver.major(SDK_VERSION)) throw loadErrors.sdkMajor(id, built, SDK_VERSION);
}

/** Loads modules and makes plugins. Its steps have no deadlines of their own: the caller bounds them. */
export class PluginLoader {
  constructor(private readonly doImport: ImportModule = importModule) {}

  /**
   * Imports the entry, afresh each time, and gives what it exports as `plugin`.
   * @throws DwError `plugin-integrity-mismatch`, `plugin-export-invalid`; what the module throws.
   */
  async load(definition: PluginDefinition): Promise<PluginExport> {
    const { id, entryFile, manifest } = definition;
    const url = pathToFileURL(entryFile);
    loads += 1;
    url.searchParams.set('dw-load', String(loads));
    if (manifest.integrity !== undefined) {
      const actual = sha256Of(await readFile(entryFile));
      if (actual !== manifest.integrity) throw loadErrors.integrity(id, manifest.integrity, actual);
      registerHook();
      url.searchParams.set(INTEGRITY_PARAMETER, manifest.integrity);
    }
    const module = (await this.doImport(url.href)) as { readonly plugin?: unknown };
    const exported = module.plugin;
    if (typeof exported !== 'function') {
      const names = Object.keys(module).slice(0, 10).join(', ');
      throw loadErrors.exportInvalid(
        id,
        exported === undefined ? `exports: ${names || 'none'}` : typeof exported,
      );
    }
    return exported as PluginExport;
  }

  /**
   * Makes the plugin's object and checks that it is what the manifest says.
   * @throws DwError `plugin-sdk-major`, `plugin-shape-invalid`, `plugin-id-mismatch`; what the constructor throws.
   */
  async construct(definition: PluginDefinition, exported: PluginExport): Promise<PluginBase> {
    const { id } = definition;
    assertSdk(id, exported);
    const plugin: unknown = isClass(exported) ? new exported() : await exported();
    if (typeof plugin !== 'object' || plugin === null) throw loadErrors.shapeInvalid(id, ['an object']);
    const candidate = plugin as Record<string, unknown>;
    assertSdk(id, candidate['constructor']);
    const missing = [
      ...['id', 'name', 'version'].filter((name) => typeof candidate[name] !== 'string'),
      ...STEPS.filter((name) => typeof candidate[name] !== 'function'),
    ];
    if (missing.length > 0) throw loadErrors.shapeInvalid(id, missing);
    if (candidate['id'] !== id) throw loadErrors.idMismatch(id, String(candidate['id']));
    return plugin as PluginBase;
  }
}
