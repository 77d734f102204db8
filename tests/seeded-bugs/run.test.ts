// Shows that the safety tests can fail: each seeded bug is a small change of the source, made in a copy of the code,
// and the tests it names must fail there. The product itself holds no switch for any of them.

import { spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, readdir, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from '../support/processes.js';

interface SeededBug {
  readonly name: string;
  /** The property it breaks. */
  readonly property: string;
  /** Path of the source file from the root. */
  readonly file: string;
  /** Text that occurs exactly once in it. */
  readonly find: string;
  readonly replace: string;
  /** Arguments for vitest that run the tests which must fail. */
  readonly killedBy: readonly string[];
}

const here = join(ROOT, 'tests', 'seeded-bugs');
const files = (await readdir(here)).filter((name) => name.endsWith('.json')).sort();
const bugs = await Promise.all(
  files.map(async (name) => JSON.parse(await readFile(join(here, name), 'utf8')) as SeededBug),
);

/** Copies of the project in which bugs may be seeded: one for each core, up to two, so that as many run at once. */
const copies: string[] = [];
/** Copies that nobody uses, and those who wait for one. */
const free: string[] = [];
const waiting: ((copy: string) => void)[] = [];

function takeCopy(): Promise<string> {
  const copy = free.pop();
  return copy === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(copy);
}

function giveCopy(copy: string): void {
  const next = waiting.shift();
  if (next === undefined) free.push(copy);
  else next(copy);
}

beforeAll(async () => {
  for (let n = 0; n < Math.min(2, availableParallelism()); n++) {
    const copy = await copyProject();
    copies.push(copy);
    free.push(copy);
  }
});

/** Copies the sources; dependencies are linked, the workspace's own packages are those of the copy. */
async function copyProject(): Promise<string> {
  // Beside the root's own parent, so that relative paths to data outside the project hold in the copy, too.
  const copy = await mkdtemp(join(tmpdir(), 'dw-seeded-'));
  const project = join(copy, 'project');
  await mkdir(project);
  for (const name of ['package.json', 'vitest.config.ts', 'tsconfig.json', 'tsconfig.base.json']) {
    await cp(join(ROOT, name), join(project, name));
  }
  for (const name of ['packages', 'tests']) {
    await cp(join(ROOT, name), join(project, name), {
      recursive: true,
      verbatimSymlinks: true,
      filter: (path) => !/[\\/]dist$/.test(path),
    });
  }
  const modules = join(project, 'node_modules');
  await mkdir(join(modules, '@datawarehouse'), { recursive: true });
  for (const name of await readdir(join(ROOT, 'node_modules'))) {
    if (name === '@datawarehouse') continue;
    await symlink(join(ROOT, 'node_modules', name), join(modules, name));
  }
  for (const name of await readdir(join(ROOT, 'node_modules', '@datawarehouse'))) {
    const target = await readlink(join(ROOT, 'node_modules', '@datawarehouse', name));
    await symlink(target, join(modules, '@datawarehouse', name));
  }
  await symlink(join(ROOT, '..', 'shared'), join(copy, 'shared'));
  return copy;
}

afterAll(async () => {
  for (const copy of copies) await rm(copy, { recursive: true, force: true });
});

/** A bug that makes a test loop for ever is not caught by it: the test must fail. */
const RUN_LIMIT_MS = 100_000;

interface Report {
  readonly numFailedTests: number;
  readonly numTotalTests: number;
}

/** Runs vitest in a copy and resolves with its report. */
async function vitest(copy: string, args: readonly string[]): Promise<Report> {
  const output = join(copy, 'report.json');
  await rm(output, { force: true });
  const child = spawn(
    process.execPath,
    [
      join(ROOT, 'node_modules', 'vitest', 'vitest.mjs'),
      'run',
      '--bail=1',
      '--reporter=json',
      `--outputFile=${output}`,
      ...args,
    ],
    { cwd: join(copy, 'project'), stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, CI: '1' } },
  );
  let text = '';
  let hung = false;
  const limit = setTimeout(() => {
    hung = true;
    child.kill('SIGKILL');
  }, RUN_LIMIT_MS);
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      text = (text + chunk.toString()).slice(-8_192);
    });
  }
  await new Promise((resolve) => child.once('close', resolve));
  clearTimeout(limit);
  if (hung) throw new Error(`vitest did not end within ${RUN_LIMIT_MS} ms; it said:\n${text}`);
  try {
    return JSON.parse(await readFile(output, 'utf8')) as Report;
  } catch (cause) {
    throw new Error(`vitest left no report:\n${text}`, { cause });
  }
}

describe('each seeded bug is killed', () => {
  it('there are bugs to seed', () => {
    expect(bugs.length).toBeGreaterThanOrEqual(5);
  });

  it.concurrent.each(bugs.map((bug) => [bug.name, bug] as const))('%s', async (_name, bug) => {
    const copy = await takeCopy();
    try {
      await kill(copy, bug);
    } finally {
      giveCopy(copy);
    }
  });
});

/** Seeds a bug into a copy, sees that a test fails there, and takes it out again. */
async function kill(copy: string, bug: SeededBug): Promise<void> {
  const path = join(copy, 'project', bug.file);
  const source = await readFile(path, 'utf8');
  expect(source.split(bug.find).length - 1, `"${bug.find}" occurs once in ${bug.file}`).toBe(1);
  await writeFile(
    path,
    source.replace(bug.find, () => bug.replace),
  );
  try {
    const report = await vitest(copy, bug.killedBy);
    expect(report.numTotalTests, 'tests ran').toBeGreaterThan(0);
    expect(report.numFailedTests, `a test of "${bug.property}" fails`).toBeGreaterThan(0);
  } finally {
    await writeFile(path, source);
  }
}
