// Shows that the safety tests can fail: each seeded bug is a small change of the source, made in a copy of the code,
// and the tests it names must fail there. The product itself holds no switch for any of them.

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
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

/** A copy of the project in which bugs are seeded, and the process that runs tests there. */
interface Copy {
  readonly folder: string;
  readonly project: string;
  killer: ChildProcess | undefined;
}

/** One copy for each core, up to two, so that as many bugs are seeded at once. */
const copies: Copy[] = [];
/** Copies that nobody uses, and those who wait for one. */
const free: Copy[] = [];
const waiting: ((copy: Copy) => void)[] = [];

function takeCopy(): Promise<Copy> {
  const copy = free.pop();
  return copy === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(copy);
}

function giveCopy(copy: Copy): void {
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
async function copyProject(): Promise<Copy> {
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
  return { folder: copy, project, killer: undefined };
}

afterAll(async () => {
  for (const { folder, killer } of copies) {
    killer?.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
  }
});

/** A bug that makes a test loop for ever is not caught by it: the test must fail. */
const RUN_LIMIT_MS = 100_000;

interface Outcome {
  readonly ran: number;
  readonly failed: number;
  /** Errors of no single test: of files that could not be loaded, and such as no test waited for. */
  readonly errors: readonly string[];
}

/** Runs tests in a copy of which one file has changed since the last time. */
async function runTests(copy: Copy, changed: string, args: readonly string[]): Promise<Outcome> {
  const killer = (copy.killer ??= fork(join(copy.project, 'tests', 'seeded-bugs', 'killer.mjs'), {
    cwd: copy.project,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    env: { ...process.env, CI: '1' },
  }));
  let text = '';
  const hear = (chunk: Buffer): void => {
    text = (text + chunk.toString()).slice(-8_192);
  };
  for (const stream of [killer.stdout, killer.stderr]) stream?.on('data', hear);
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(new Error(`no end within ${RUN_LIMIT_MS} ms`)), RUN_LIMIT_MS);
  try {
    killer.send({ changed, args });
    const outcome = await Promise.race([
      once(killer, 'message', { signal: limit.signal }).then(
        ([message]) => message as Outcome | { error: string },
      ),
      once(killer, 'exit', { signal: limit.signal }).then(() => ({ error: 'it exited' })),
    ]);
    if ('error' in outcome) throw new Error(outcome.error);
    return outcome;
  } catch (cause) {
    // Whatever it is at, the next bug is not to meet it.
    killer.kill('SIGKILL');
    copy.killer = undefined;
    throw new Error(`the tests did not end; vitest said:\n${text}`, { cause });
  } finally {
    clearTimeout(timer);
    limit.abort();
    for (const stream of [killer.stdout, killer.stderr]) stream?.off('data', hear);
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
async function kill(copy: Copy, bug: SeededBug): Promise<void> {
  const path = join(copy.project, bug.file);
  const source = await readFile(path, 'utf8');
  expect(source.split(bug.find).length - 1, `"${bug.find}" occurs once in ${bug.file}`).toBe(1);
  await writeFile(
    path,
    source.replace(bug.find, () => bug.replace),
  );
  try {
    const outcome = await runTests(copy, bug.file, bug.killedBy);
    expect(outcome.ran, `tests ran ${outcome.errors.join('\n')}`).toBeGreaterThan(0);
    expect(outcome.failed, `a test of "${bug.property}" fails`).toBeGreaterThan(0);
  } finally {
    await writeFile(path, source);
  }
}
