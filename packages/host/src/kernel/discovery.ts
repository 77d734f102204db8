// From the configuration to definitions: which plugins there are, with manifests and configuration checked. What is
// wrong with one plugin is kept beside it and harms no other.

import { DwError, isDwError } from '@datawarehouse/sdk';
import type { Logger, PluginManifest } from '@datawarehouse/sdk';
import type { PluginEntry } from '../config/node-config.js';
import { discoveryErrors, stepErrors } from '../errors.js';
import { SchemaChecker } from '../schema/schema-checker.js';
import type { PluginPackage } from './manifest-reader.js';
import { readManifest, resolveEntry } from './manifest-reader.js';
import type { PackageResolver } from './package-resolver.js';

/** A plugin that can be loaded. */
export interface PluginDefinition extends PluginPackage {
  readonly id: string;
  /** Real path of the entry module. */
  readonly entryFile: string;
  /** Checked against the plugin's `configSchema`, with defaults. */
  readonly config: Readonly<Record<string, unknown>>;
}

/** What discovery found for one entry of the configuration. */
export type Discovered =
  | { readonly entry: PluginEntry; readonly id: string; readonly definition: PluginDefinition }
  | { readonly entry: PluginEntry; readonly id: string; readonly failure: DwError };

/** Turns entries of the configuration into definitions. */
export class Discovery {
  private readonly checker = new SchemaChecker({ root: 'the manifest' });

  constructor(
    private readonly resolver: PackageResolver,
    private readonly log: Logger,
  ) {}

  /** Reads every plugin of the configuration, or, when it lists none, all that ship with the host; and the extra ones. */
  async discover(
    configured: readonly PluginEntry[] | undefined,
    extra: readonly PluginEntry[] = [],
  ): Promise<readonly Discovered[]> {
    const listed =
      configured ??
      (await this.resolver.shipped()).map(({ directory }): PluginEntry => ({ package: directory }));
    const entries = [...listed, ...extra];
    const found = await Promise.all(entries.map((entry) => this.read(entry)));
    const owners = new Map<string, string>();
    return found.map((item): Discovered => {
      const first = owners.get(item.id);
      if (first === undefined) {
        owners.set(item.id, item.entry.package);
        return item;
      }
      // The second of a name cannot be listed under it as well, so it goes by its package.
      const failure = discoveryErrors.duplicateId(item.id, first, item.entry.package);
      let id = item.entry.package;
      while (owners.has(id)) id += "'";
      owners.set(id, item.entry.package);
      return { entry: item.entry, id, failure };
    });
  }

  /** Reads one plugin. Never rejects. */
  async read(entry: PluginEntry): Promise<Discovered> {
    let id = entry.package;
    try {
      const { directory, replaced } = await this.locate(entry.package);
      const found = await readManifest(entry.package, directory, this.checker);
      id = found.manifest.id;
      const entryFile = await resolveEntry(found);
      const config = this.checkConfig(found, { ...replaced, ...entry.config });
      return { entry, id, definition: { ...found, id, entryFile, config } };
    } catch (error) {
      return { entry, id, failure: isDwError(error) ? error : stepErrors.failed(id, 'discover', error) };
    }
  }

  /** The directory of a package; an old plugin id leads to the plugin that replaces it, with that id's defaults. */
  private async locate(
    name: string,
  ): Promise<{ directory: string; replaced?: Readonly<Record<string, unknown>> | undefined }> {
    try {
      return { directory: await this.resolver.resolve(name) };
    } catch (error) {
      if (!isDwError(error, 'plugin-not-found')) throw error;
      for (const { directory } of await this.resolver.shipped()) {
        const manifest = await this.manifestOf(directory);
        if (manifest?.id === name) return { directory };
        if (manifest?.replaces === undefined || !Object.hasOwn(manifest.replaces, name)) continue;
        this.log.warn(
          { code: 'plugin-id-deprecated', plugin: manifest.id, replaces: name },
          `plugin ${name} is deprecated: ${manifest.id} is loaded in its place; name that one in "plugins"`,
        );
        return { directory, replaced: manifest.replaces[name] };
      }
      throw error;
    }
  }

  /** The manifest of a plugin that is merely looked at; a broken one is reported when that plugin itself is loaded. */
  private async manifestOf(directory: string): Promise<PluginManifest | undefined> {
    try {
      return (await readManifest(directory, directory, this.checker)).manifest;
    } catch {
      return undefined;
    }
  }

  private checkConfig(
    { manifest }: PluginPackage,
    config: Readonly<Record<string, unknown>>,
  ): Readonly<Record<string, unknown>> {
    if (manifest.configSchema === undefined) {
      const names = Object.keys(config);
      if (names.length === 0) return Object.freeze({});
      throw discoveryErrors.configInvalid(manifest.id, [`it takes none, and got "${names.join('", "')}"`]);
    }
    const checker = new SchemaChecker({ root: `the configuration of ${manifest.id}` });
    const checked = checker.check<Record<string, unknown>>(manifest.configSchema, config);
    if (!checked.ok) throw discoveryErrors.configInvalid(manifest.id, checked.issues);
    return Object.freeze(checked.value);
  }
}
