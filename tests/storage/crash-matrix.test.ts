// Real processes on a real disk: a scripted run over a node's storage is killed before each single call that changes
// files, started on a disk whose calls fail, and its files are cut and flipped afterwards. Nothing acknowledged may be
// lost, nothing made up, no term or vote set back, and damage must be named. strace does the killing (Debian package
// `strace`).
//
// A kill leaves what was written in the system's cache, so syncs that are missing do not show here: for those there is
// the disk in memory (packages/plugin-consensus/src/storage/crash-recovery.test.ts).

import { spawn } from 'node:child_process';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { isDwError } from '@datawarehouse/sdk';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { build } from 'vite';

import { FileNodeStorage } from '../../packages/plugin-consensus/src/storage/index.js';
import { SeededRandom } from '../../packages/plugin-consensus/src/storage/testing/seeded-random.js';
import {
  EMPTY_GROUP,
  TEST_CONF,
  difference,
  snapshotText,
} from '../../packages/plugin-consensus/src/storage/testing/storage-model.js';
import type { GroupStorage } from '../../packages/plugin-consensus/src/storage/index.js';
import { ROOT } from '../support/processes.js';
import { GROUPS, SCRIPT, STORAGE_OPTIONS, boundsAfter, isThereAfter, stateAfter } from './crash-script.js';

/** Every call by which Node changes a file or a directory. Pipes are written with `write`, files never. */
const CALLS = [
  'pwrite64',
  'pwritev',
  'fdatasync',
  'fsync',
  'rename',
  'unlink',
  'ftruncate',
  'chmod',
  'mkdir',
] as const;
/** A few processes at a time: they mostly wait for the disk and for strace. */
const AT_ONCE = 4;
const RUN_LIMIT_MS = 60_000;

interface Outcome {
  readonly directory: string;
  /** Steps that were acknowledged; -1 when not even the groups were there. */
  readonly done: number;
  readonly failed: string | undefined;
  readonly killed: boolean;
  readonly code: number | null;
  readonly errors: string;
}

let root = '';

beforeAll(async () => {
  root = await fs.mkdtemp(join(tmpdir(), 'dw-storage-crash-'));
  // One file with only what is needed: it is loaded hundreds of times. Bundled from the sources under test.
  await build({
    root: ROOT,
    configFile: false,
    logLevel: 'error',
    resolve: { conditions: ['source'] },
    ssr: { resolve: { conditions: ['source'] }, noExternal: true, external: ['koffi'] },
    build: {
      ssr: join(ROOT, 'tests', 'storage', 'crash-workload.ts'),
      outDir: root,
      emptyOutDir: false,
      minify: false,
      rollupOptions: { output: { entryFileNames: 'workload.mjs' } },
    },
  });
});
afterAll(() => fs.rm(root, { recursive: true, force: true }));

/** Runs the script under strace in a directory of its own. */
async function runTraced(name: string, options: readonly string[]): Promise<Outcome> {
  const directory = join(root, name);
  await fs.mkdir(directory);
  // Not --seccomp-bpf: with it strace 6.1 counts, but does not send the signal from the second call on.
  const args = ['-f', '-qq', ...options, process.execPath, join(root, 'workload.mjs'), directory];
  const { output, errors, code, killed } = await run('strace', args);
  const lines = output.split('\n');
  const done = lines.findLast((line) => line.startsWith('done '));
  const failed = lines.findLast((line) => line.startsWith('failed '));
  return {
    directory,
    done: done === undefined ? -1 : Number(done.slice(5)),
    failed: failed?.slice(7),
    killed,
    code,
    errors,
  };
}

function run(
  program: string,
  args: readonly string[],
): Promise<{ output: string; errors: string; code: number | null; killed: boolean }> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: ROOT,
      // One thread for files, so that calls are counted in one place; and no ring that would hide them from strace.
      env: { ...process.env, UV_THREADPOOL_SIZE: '1', UV_USE_IO_URING: '0', NODE_OPTIONS: '' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), RUN_LIMIT_MS);
    let output = '';
    let errors = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
    child.once('error', (cause) =>
      reject(new Error(`${program} is needed: apt-get install strace`, { cause })),
    );
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ output, errors, code, killed: signal === 'SIGKILL' || code === 137 });
    });
  });
}

/** Why the storage in a directory is not what it should be after `done` steps; undefined when it is. */
async function problem(directory: string, done: number): Promise<string | undefined> {
  const storage = await FileNodeStorage.open({ ...STORAGE_OPTIONS, directory });
  try {
    const groups = new Map<string, GroupStorage>();
    for (const groupId of GROUPS) {
      const isThere = storage.groupIds.includes(groupId);
      const isDamaged = storage.damagedGroups().some((damage) => damage.groupId === groupId);
      const step = SCRIPT[done];
      if (isDamaged && step?.kind === 'replace' && step.groupId === groupId) {
        // It was being replaced; that goes on.
        await storage.replaceGroup(groupId, TEST_CONF);
      } else if (!isThere && !isDamaged && done >= 0) {
        const may = isThereAfter(done, groupId) && isThereAfter(Math.min(done + 1, SCRIPT.length), groupId);
        if (may) return `group ${groupId} is gone`;
      }
      groups.set(groupId, await storage.openGroup(groupId, TEST_CONF));
    }
    const allowed = [Math.max(0, done), Math.min(Math.max(0, done) + 1, SCRIPT.length)];
    const whys = allowed.map((steps) => wrongGroups(groups, steps));
    if (!whys.includes('')) return whys.join(' | ');
    for (const [groupId, group] of groups) {
      const why = await wrongSnapshot(groupId, group, done);
      if (why !== undefined) return `${groupId}: ${why}`;
    }
    // And it goes on.
    const c = groups.get('c') as GroupStorage;
    const index = c.lastIndex() + 1;
    const entry = { index, term: 99, type: 'normal' as const, data: Buffer.from('goes on') };
    await storage.write([{ groupId: 'c', hardState: undefined, entries: [entry], snapshot: undefined }]);
    return c.term(index) === 99 ? undefined : 'it does not go on';
  } finally {
    await storage.close();
  }
}

function wrongGroups(groups: ReadonlyMap<string, GroupStorage>, steps: number): string {
  const state = stateAfter(steps);
  return [...groups]
    .map(([groupId, group]) => {
      const why = difference(group, state.get(groupId) ?? EMPTY_GROUP);
      return why === undefined ? '' : `${groupId}: ${why}`;
    })
    .filter((why) => why !== '')
    .join('; ');
}

async function wrongSnapshot(
  groupId: string,
  group: GroupStorage,
  done: number,
): Promise<string | undefined> {
  const metadata = group.snapshot()?.metadata;
  const { snapshot, compacted } = boundsAfter(Math.max(0, done), groupId);
  const index = metadata?.index ?? 0;
  if (index < snapshot) return `the snapshot at ${snapshot} is gone; there is one at ${index}`;
  if (group.firstIndex() <= compacted) return `entries up to ${compacted} are back`;
  if (group.firstIndex() > index + 1) return `the log begins at ${group.firstIndex()}, after the snapshot`;
  if (metadata === undefined) return undefined;
  const chunks: Uint8Array[] = [];
  for await (const chunk of group.readSnapshot()) chunks.push(chunk);
  return Buffer.concat(chunks).toString() === snapshotText(groupId, metadata) ? undefined : 'another state';
}

/** With `twice`, opens the storage once more: what the first opening did to the files must not harm the second. */
async function check({ directory, done }: Outcome, trace: string, twice = false): Promise<void> {
  if (!twice) {
    const why = await problem(directory, done);
    expect({ trace, why }).toEqual({ trace, why: undefined });
    await fs.rm(directory, { recursive: true });
    return;
  }
  const copy = `${directory}-copy`;
  await fs.cp(directory, copy, { recursive: true });
  const first = await problem(directory, done);
  expect({ trace, first }).toEqual({ trace, first: undefined });
  // The copy is opened, closed at once, and only then looked at.
  await (await FileNodeStorage.open({ ...STORAGE_OPTIONS, directory: copy })).close();
  const second = await problem(copy, done);
  expect({ trace, second }).toEqual({ trace, second: undefined });
  await fs.rm(directory, { recursive: true });
  await fs.rm(copy, { recursive: true });
}

/** Calls of each kind in an undisturbed run. */
async function countCalls(): Promise<Map<string, number>> {
  const trace = join(root, 'count.trace');
  const outcome = await runTraced('count', [
    '-o',
    trace,
    '-y',
    '-e',
    `trace=write,writev,${CALLS.join(',')}`,
  ]);
  expect(outcome).toMatchObject({ code: 0, errors: '', done: SCRIPT.length });
  const counts = new Map<string, number>();
  for (const line of (await fs.readFile(trace, 'utf8')).split('\n')) {
    if (!line.includes(outcome.directory)) continue;
    const call = /^\d+ +([a-z0-9]+)\(/.exec(line)?.[1] ?? '';
    // A call that is not on the list would be a moment at which nobody was killed.
    expect(CALLS).toContain(call);
    counts.set(call, (counts.get(call) ?? 0) + 1);
  }
  await check(outcome, 'undisturbed', true);
  return counts;
}

/** Does all of `work`, a few at a time. */
async function inParallel<T>(work: readonly T[], each: (item: T) => Promise<void>): Promise<void> {
  const queue = work.values();
  const worker = async (): Promise<void> => {
    for (const item of queue) await each(item);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

describe('crash matrix of the Raft storage', () => {
  it('killed before any call that changes a file: nothing is lost or made up', async () => {
    const counts = await countCalls();
    for (const call of ['pwrite64', 'fdatasync', 'fsync', 'rename', 'unlink']) {
      expect({ call, some: (counts.get(call) ?? 0) > 0 }).toEqual({ call, some: true });
    }
    const points = [...counts].flatMap(([call, count]) =>
      Array.from({ length: count }, (_, index) => ({ call, nth: index + 1 })),
    );
    let killed = 0;
    await inParallel(points, async ({ call, nth }) => {
      const trace = `killed at ${call} ${nth}`;
      const options = ['-e', `trace=${call}`, '-e', `inject=${call}:signal=SIGKILL:when=${nth}`];
      const outcome = await runTraced(`${call}-${nth}`, [...options, '-o', '/dev/null']);
      if (outcome.killed) killed++;
      else expect({ trace, ...outcome }).toMatchObject({ trace, code: 0, errors: '' });
      await check(outcome, trace, nth % 5 === 0);
    });
    console.log(`killed at ${killed} of ${points.length} calls: ${JSON.stringify([...counts])}`);
    // The background work may make a call fewer in one run than in another.
    expect(killed).toBeGreaterThanOrEqual(points.length * 0.9);
  });

  it.each([
    ['fdatasync', 'EIO', ''],
    ['pwrite64', 'ENOSPC', '+'],
    ['rename', 'EIO', '+'],
  ])('%s fails with %s: nothing is acknowledged that is not there', async (call, error, onwards) => {
    let failed = 0;
    const points = [1, 2, 4, 7, 11, 16];
    await inParallel(points, async (nth) => {
      const trace = `${call} ${nth} fails with ${error}`;
      const inject = ['-e', `trace=${call}`, '-e', `inject=${call}:error=${error}:when=${nth}${onwards}`];
      const outcome = await runTraced(`${call}-${error}-${nth}`, [...inject, '-o', '/dev/null']);
      expect({ trace, ...outcome }).toMatchObject({ trace, code: 0, errors: '' });
      if (outcome.failed !== undefined) failed++;
      // The storage says what the disk said.
      if (outcome.failed?.startsWith('storage-failed'))
        expect(outcome.failed).toBe(`storage-failed ${error}`);
      await check(outcome, trace);
    });
    expect(failed).toBeGreaterThanOrEqual(points.length - 1);
  });

  it('cut anywhere in the last record of the journal: that record is there or not, or damage is named', async () => {
    // Killed as it closes, so that the journal is as the last turn left it.
    const { directory, done } = await runTraced('cut', ['-e', 'trace=fsync', '-o', '/dev/null']);
    expect(done).toBe(SCRIPT.length);
    const journal = join(directory, 'journal');
    const last = Buffer.from('c 7/16;');
    const found = { path: '', at: -1 };
    for (const name of await fs.readdir(journal)) {
      const at = (await fs.readFile(join(journal, name)).catch(() => Buffer.alloc(0))).lastIndexOf(last);
      if (at >= 0) Object.assign(found, { path: name, at });
    }
    expect(found.at).toBeGreaterThan(0);
    const seen = { there: 0, gone: 0, named: 0 };
    for (let length = found.at - 60; length <= found.at + last.length; length += 3) {
      const copy = join(root, `cut-${length}`);
      await fs.cp(directory, copy, { recursive: true });
      await fs.truncate(join(copy, 'journal', found.path), length);
      try {
        const whole = await problem(copy, SCRIPT.length);
        if (whole === undefined) seen.there++;
        else {
          expect({ length, why: await problem(copy, SCRIPT.length - 1) }).toEqual({ length, why: undefined });
          seen.gone++;
        }
      } catch (error) {
        if (!isDamage(error)) throw error;
        seen.named++;
      }
      await fs.rm(copy, { recursive: true });
    }
    expect(seen.there + seen.gone + seen.named).toBeGreaterThan(15);
  });

  it('a flipped bit in any file: it is named, or did not matter', async () => {
    const { directory, done } = await runTraced('flips', ['-e', 'trace=fsync', '-o', '/dev/null']);
    expect(done).toBe(SCRIPT.length);
    const random = new SeededRandom(20_260);
    const names = [
      ...(await fs.readdir(directory)).filter((name) => name !== 'journal'),
      ...(await fs.readdir(join(directory, 'journal'))).map((name) => join('journal', name)),
    ];
    const named = new Set<string>();
    for (const name of names) {
      const content = await fs.readFile(join(directory, name)).catch(() => Buffer.alloc(0));
      const end = content.length - trailingZeros(content);
      for (let flip = 0; flip < Math.min(name.startsWith('journal') ? 40 : 7, end); flip++) {
        const copy = join(root, `flip-${name.replace('/', '-')}-${flip}`);
        await fs.cp(directory, copy, { recursive: true });
        const at = random.below(end);
        const bad = Buffer.from(content);
        bad[at] = (bad[at] as number) ^ (1 << random.below(8));
        await fs.chmod(join(copy, name), 0o600);
        await fs.writeFile(join(copy, name), bad);
        try {
          expect({ name, at, why: await problem(copy, done) }).toEqual({ name, at, why: undefined });
        } catch (error) {
          if (!isDamage(error)) throw error;
          expect(error.message).toContain(name.replace('journal/', ''));
          named.add(name.replace(/[-.].*/, ''));
        }
        await fs.rm(copy, { recursive: true });
      }
    }
    // Damage was found in each kind of file.
    expect([...named].map((name) => name.replace(/\/.*/, '')).toSorted()).toEqual(
      expect.arrayContaining(['group', 'journal', 'raft', 'snapshot']),
    );
  });
});

/** What names the file: damage of the journal, of one group's files, or of what is read. */
function isDamage(error: unknown): error is Error {
  return isDwError(error, 'raft-log-damaged') || isDwError(error, 'raft-group-damaged');
}

function trailingZeros(content: Buffer): number {
  let count = 0;
  while (count < content.length && content[content.length - 1 - count] === 0) count++;
  return count;
}
