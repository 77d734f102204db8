// `npm run bench [-- NAME …]`: every measurement, or those named, in one run, each beside a probe or a peer.
import { readdirSync } from 'node:fs';
import { cpus } from 'node:os';
import { print } from './table.mjs';

const skip = new Set(['run.mjs', 'table.mjs']);
const names = readdirSync(new URL('.', import.meta.url))
  .filter((name) => name.endsWith('.mjs') && !skip.has(name))
  .map((name) => name.slice(0, -4));
const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !names.includes(name));
if (unknown.length > 0) {
  console.error(`no benchmark ${unknown.join(', ')}; there are ${names.join(', ')}`);
  process.exit(2);
}

console.log(
  `Node.js ${process.versions.node}, ${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'}`,
);
for (const name of wanted.length > 0 ? wanted : names) {
  const { run } = await import(`./${name}.mjs`);
  print(await run());
}
