// The rules of the house, checked over every package: who may depend on whom, in manifests and in imports.
//
// - the SDK depends on no other package of the workspace
// - the host and every plugin depend on the SDK only
// - product code imports packages that its own package.json names, and nothing by a path into another package
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const builtins = new Set(builtinModules);
const problems = [];

/** Workspace packages that a package may use in product code. */
function allowed(name) {
  return name === '@datawarehouse/sdk' ? [] : ['@datawarehouse/sdk'];
}

/** Paths of all TypeScript files under a folder. */
function* sources(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* sources(path);
    else if (entry.name.endsWith('.ts')) yield path;
  }
}

const IMPORT =
  /^(?:import|export)\b[^'"`;]*?\bfrom\s*['"]([^'"\n]+)['"]|^import\s*['"]([^'"\n]+)['"]|\bimport\(\s*['"]([^'"\n]+)['"]\s*\)/gm;

for (const folder of readdirSync(join(root, 'packages'))) {
  const home = join(root, 'packages', folder);
  const file = join(home, 'package.json');
  if (!existsSync(file)) continue;
  const manifest = JSON.parse(readFileSync(file, 'utf8'));
  const dependencies = {
    ...manifest.dependencies,
    ...manifest.optionalDependencies,
    ...manifest.peerDependencies,
  };
  for (const name of Object.keys(dependencies)) {
    if (name.startsWith('@datawarehouse/') && !allowed(manifest.name).includes(name)) {
      problems.push(
        `${manifest.name} depends on ${name}; it may depend on ${allowed(manifest.name).join(', ') || 'no workspace package'}`,
      );
    }
  }
  for (const path of sources(join(home, 'src'))) {
    const isTest = /\.test(\.kit)?\.ts$/.test(path);
    if (path.endsWith('-template.ts')) continue; // its text is another package's code
    const text = readFileSync(path, 'utf8')
      .replace(/\/\*[\s\S]*?\*\//g, '')
      .replace(/^\s*\/\/.*$/gm, '');
    for (const [, from, bare, dynamic] of text.matchAll(IMPORT)) {
      const target = from ?? bare ?? dynamic;
      const where = relative(root, path);
      if (target.startsWith('.')) {
        const reached = resolve(dirname(path), target);
        if (!reached.startsWith(join(home, 'src') + sep) && !reached.startsWith(join(home, 'package.json'))) {
          problems.push(`${where} reaches out of its package: ${target}`);
        }
        continue;
      }
      if (target.startsWith('node:') || builtins.has(target)) continue;
      const name = target
        .split('/')
        .slice(0, target.startsWith('@') ? 2 : 1)
        .join('/');
      if (name === manifest.name) problems.push(`${where} imports its own package by name: ${target}`);
      else if (!(name in dependencies) && !isTest)
        problems.push(`${where} imports ${name}, which its package.json does not name`);
    }
  }
}

for (const problem of problems) console.error(`boundary: ${problem}`);
process.exitCode = problems.length === 0 ? 0 : 1;
