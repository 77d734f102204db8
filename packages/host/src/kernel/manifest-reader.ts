// Reads what a plugin's package says of itself, checks every word of it, and finds its entry. Nothing of the plugin
// runs here, and nothing here trusts what it reads.

import { readFile, realpath, stat } from 'node:fs/promises';
import { basename, join, resolve, sep } from 'node:path';
import semver from 'semver';
import { PluginManifestSchema, SDK_VERSION, assertTopicPattern } from '@datawarehouse/sdk';
import type { PluginManifest } from '@datawarehouse/sdk';
import { causeText, discoveryErrors } from '../errors.js';
import type { SchemaChecker } from '../schema/schema-checker.js';

/** Largest package.json or dw-plugin.json that is read. */
const MAX_MANIFEST_BYTES = 1024 * 1024;

/** A package with a checked manifest. */
export interface PluginPackage {
  /** Real path of the package's directory. */
  readonly directory: string;
  /** Name in package.json, or the directory's name. */
  readonly packageName: string;
  readonly version: string;
  readonly manifest: PluginManifest;
}

interface PackageJson {
  readonly name?: unknown;
  readonly version?: unknown;
  readonly datawarehouse?: unknown;
}

async function readJson(name: string, file: string): Promise<unknown> {
  let text: string;
  try {
    const { size } = await stat(file);
    if (size > MAX_MANIFEST_BYTES) {
      throw discoveryErrors.manifestInvalid(name, file, [`it is larger than ${MAX_MANIFEST_BYTES} bytes`]);
    }
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (error) {
    throw discoveryErrors.manifestInvalid(name, file, [`it is not JSON: ${causeText(error)}`], error);
  }
}

function invalidTopics(manifest: PluginManifest): string[] {
  const patterns = [...(manifest.topics?.publish ?? []), ...(manifest.topics?.subscribe ?? [])];
  return patterns.flatMap((pattern) => {
    try {
      assertTopicPattern(pattern);
      return [];
    } catch (error) {
      return [causeText(error)];
    }
  });
}

/** Whether a directory holds a plugin, by a quick look. Never throws. */
export async function looksLikePlugin(directory: string): Promise<boolean> {
  try {
    const packageJson = (await readJson(directory, join(directory, 'package.json'))) as
      | PackageJson
      | undefined;
    if (packageJson?.datawarehouse !== undefined) return true;
    return (await stat(join(directory, 'dw-plugin.json'))).isFile();
  } catch {
    // Not readable or not JSON: then it is no plugin that ships with the host.
    return false;
  }
}

/**
 * Reads and checks the manifest of the package in `directory`. `name` is what messages call it.
 * @throws DwError `plugin-manifest-missing`, `plugin-manifest-invalid`, `plugin-sdk-range`.
 */
export async function readManifest(
  name: string,
  directory: string,
  checker: SchemaChecker,
): Promise<PluginPackage> {
  const real = await realpath(directory);
  const packageFile = join(real, 'package.json');
  const separateFile = join(real, 'dw-plugin.json');
  const packageJson = (await readJson(name, packageFile)) as PackageJson | null | undefined;
  const separate = await readJson(name, separateFile);
  const inPackage = typeof packageJson === 'object' ? packageJson?.datawarehouse : undefined;
  if (inPackage === undefined && separate === undefined) throw discoveryErrors.manifestMissing(name, real);
  const file = inPackage === undefined ? separateFile : packageFile;
  const invalid = (issues: readonly string[]): Error => discoveryErrors.manifestInvalid(name, file, issues);
  if (inPackage !== undefined && separate !== undefined) {
    throw invalid([`there is another in ${separateFile}; keep one of them`]);
  }
  const checked = checker.check<PluginManifest>(PluginManifestSchema, inPackage ?? separate);
  if (!checked.ok) throw invalid(checked.issues);
  const manifest = checked.value;
  const topics = invalidTopics(manifest);
  if (topics.length > 0) throw invalid(topics);
  if (semver.validRange(manifest.sdk) === null)
    throw invalid([`"sdk" is not a semver range: "${manifest.sdk}"`]);
  if (!semver.satisfies(SDK_VERSION, manifest.sdk, { includePrerelease: true })) {
    throw discoveryErrors.sdkRange(manifest.id, manifest.sdk, SDK_VERSION);
  }
  const { name: packageName, version } = packageJson ?? {};
  return {
    directory: real,
    packageName: typeof packageName === 'string' ? packageName : basename(real),
    version: typeof version === 'string' ? version : '0.0.0',
    manifest,
  };
}

/**
 * The real path of a plugin's entry.
 * @throws DwError `plugin-entry-outside` when it leads out of the package, also by a link; `plugin-entry-missing`.
 */
export async function resolveEntry({ directory, manifest }: PluginPackage): Promise<string> {
  const { id, entry } = manifest;
  const wanted = resolve(directory, entry);
  if (!wanted.startsWith(directory + sep)) throw discoveryErrors.entryOutside(id, entry, directory);
  let real: string;
  try {
    real = await realpath(wanted);
    if (!(await stat(real)).isFile()) throw new Error('it is not a file');
  } catch (error) {
    throw discoveryErrors.entryMissing(id, entry, error);
  }
  if (!real.startsWith(directory + sep)) throw discoveryErrors.entryOutside(id, entry, directory);
  return real;
}
