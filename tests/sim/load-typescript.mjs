// Module hooks that run TypeScript sources: names that end in .js are looked for as .ts, and types are taken away. With
// SEEDED_BUG set to a file that describes a bug, the named sources are changed on their way: nothing on disk is.
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const require = createRequire(import.meta.url);
const { transformSync } = await import(
  pathToFileURL(createRequire(require.resolve('vite/package.json')).resolve('rolldown/utils')).href
);
const bugFile = process.env.SEEDED_BUG;
const bug = bugFile === undefined ? undefined : JSON.parse(await readFile(bugFile, 'utf8'));
const changes = (bug === undefined ? [] : [bug, ...(bug.also ?? [])]).map((change) => ({
  ...change,
  url: pathToFileURL(join(root, change.file)).href,
}));

/** Resolves as Node.js does, and tries the TypeScript source of a file that is not there. */
export async function resolve(specifier, context, next) {
  if (specifier.endsWith('.js') && /^\.{0,2}\//.test(specifier) && context.parentURL?.endsWith('.ts')) {
    return next(specifier.replace(/\.js$/, '.ts'), context);
  }
  return next(specifier, context);
}

/** Loads TypeScript as JavaScript. */
export async function load(url, context, next) {
  if (!url.endsWith('.ts')) return next(url, context);
  const path = fileURLToPath(url);
  let text = await readFile(path, 'utf8');
  for (const { find, replace } of changes.filter((change) => change.url === url)) {
    if (text.split(find).length !== 2) throw new Error(`"${find}" does not occur once in ${path}`);
    text = text.replace(find, () => replace);
  }
  const { code, errors } = transformSync(path, text, {
    sourcemap: false,
    decorator: { legacy: true, emitDecoratorMetadata: true },
  });
  if (errors.length > 0) throw new Error(`${path}: ${errors[0].message}`);
  return { format: 'module', source: code, shortCircuit: true };
}
