// The bugs that the simulator must find: each a small change of the source, made in memory on its way to Node.js, so that
// nothing on disk changes and the product holds no switch for it. The table in docs/simulator.md says how many seeds each
// took; `npm run sim:bugs -- --write` makes it anew.

import { readFile, readdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { simulateMany } from './pool.js';

/** A change of the source. */
export interface SourceChange {
  /** Path of the source file from the root. */
  readonly file: string;
  /** Text that occurs exactly once in it. */
  readonly find: string;
  readonly replace: string;
}

/** A bug to seed. */
export interface SeededBug extends SourceChange {
  readonly name: string;
  /** The property it breaks. */
  readonly property: string;
  /** Where two parts of the product see to the property, each without the other: both are broken. */
  readonly also?: readonly SourceChange[];
  /** Seeds, from 1, among which one must fail. */
  readonly seeds: number;
  /** Faults to simulate; default: as the seeds choose. */
  readonly faults?: string;
}

/** How a bug was found. */
export interface Kill {
  readonly bug: SeededBug;
  /** Seeds that it took; undefined when none of those allowed failed. */
  readonly seeds: number | undefined;
  /** What the simulator said. */
  readonly violation: string | undefined;
}

const FOLDER = fileURLToPath(new URL('bugs', import.meta.url));
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const TABLE = join(ROOT, 'docs', 'simulator.md');
const BEGIN = '<!-- seeded bugs: npm run sim:bugs -- --write -->';
const END = '<!-- end of seeded bugs -->';

/** All bugs, by file name. */
export async function readBugs(folder: string = FOLDER): Promise<ReadonlyMap<string, SeededBug>> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.json')).sort();
  const bugs = new Map<string, SeededBug>();
  for (const name of names) {
    bugs.set(join(folder, name), JSON.parse(await readFile(join(folder, name), 'utf8')) as SeededBug);
  }
  return bugs;
}

/** Simulates seed after seed with the bug in place until one fails. */
export async function hunt(path: string, bug: SeededBug): Promise<Kill> {
  for (const { file, find } of [bug, ...(bug.also ?? [])]) {
    const source = await readFile(join(ROOT, file), 'utf8');
    if (source.split(find).length === 2) continue;
    throw new Error(`${basename(path)}: "${find}" does not occur once in ${file}`);
  }
  const seeds = Array.from({ length: bug.seeds }, (_, n) => n + 1);
  const reports = await simulateMany(seeds, {
    jobs: 1,
    args: bug.faults === undefined ? [] : ['--faults', bug.faults],
    env: { ...process.env, SEEDED_BUG: path },
    onReport: ({ violation }) => violation === undefined,
  });
  const last = reports.at(-1);
  const found = last?.violation !== undefined;
  return { bug, seeds: found ? last?.seed : undefined, violation: last?.violation };
}

/** Hunts several bugs at once. */
export async function huntAll(
  bugs: ReadonlyMap<string, SeededBug>,
  jobs: number,
  onKill: (path: string, kill: Kill) => void,
): Promise<readonly Kill[]> {
  const kills: Kill[] = [];
  const queue = bugs.entries();
  const work = async (): Promise<void> => {
    for (const [path, bug] of queue) {
      const kill = await hunt(path, bug);
      kills.push(kill);
      onKill(path, kill);
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
  return kills.sort((a, b) => (a.bug.name < b.bug.name ? -1 : 1));
}

/** Puts the table of kills into the documentation. */
export async function writeTable(kills: readonly Kill[]): Promise<void> {
  const text = await readFile(TABLE, 'utf8');
  const [from, to] = [text.indexOf(BEGIN) + BEGIN.length, text.indexOf(END)];
  if (from < BEGIN.length || to < from) throw new Error(`${TABLE} has no place for the table`);
  const rows = kills.map(({ bug, seeds, violation }) => {
    const seen = violation?.split('\n')[0]?.split(':')[0] ?? 'not found';
    return `| ${bug.name} | ${bug.property} | ${seeds ?? `not in ${bug.seeds}`} | ${seen} |`;
  });
  const head = ['| bug | what it breaks | seeds | seen as |', '| --- | --- | ---: | --- |'];
  await writeFile(TABLE, `${text.slice(0, from)}\n\n${[...head, ...rows].join('\n')}\n\n${text.slice(to)}`);
}
