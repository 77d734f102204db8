// The command `npm run sim:bugs`: hunts every seeded bug, or those whose file names contain a word, and says how many
// seeds each took. With --write the table in the documentation is made anew.

import { availableParallelism } from 'node:os';
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { huntAll, readBugs, writeTable } from './seeded-bugs.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    write: { type: 'boolean', default: false },
    folder: { type: 'string' },
    seeds: { type: 'string' },
  },
});
const all = await readBugs(values.folder);
const chosen = [...all].filter(
  ([path]) => positionals.length === 0 || positionals.some((word) => basename(path).includes(word)),
);
const bounded = chosen.map(([path, bug]) => {
  return [path, values.seeds === undefined ? bug : { ...bug, seeds: Number(values.seeds) }] as const;
});
let missed = 0;
const kills = await huntAll(new Map(bounded), availableParallelism(), (path, { seeds, violation }) => {
  if (seeds === undefined) missed++;
  const how = seeds === undefined ? 'NOT FOUND' : `${seeds} seeds: ${violation?.split('\n')[0]}`;
  console.log(`${basename(path)}: ${how}`);
});
if (values.write) await writeTable(kills);
process.exit(missed === 0 ? 0 : 1);
