// Real processes on a real disk: a scripted run over the log and the file store is killed before each single call
// that changes files, and started over on a disk whose calls fail. Nothing acknowledged may be lost, nothing made up,
// and no operation may be there in part. strace does the killing (Debian package `strace`).
//
// A kill leaves what was written in the system's cache, so syncs that are missing do not show here: for those there
// is the disk in memory (packages/sdk/src/persistence/log/crash-recovery.test.ts).
import { spawn } from 'node:child_process';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { FileAppendLog, FileBackingStore, isDwError } from '@datawarehouse/sdk';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { ROOT } from '../support/processes.js';
import { LOG_OPTIONS, LOG_TOTAL, recordAt, STORE_OPTIONS, STORE_SCRIPT } from './crash-script.mjs';

/** Every call by which Node changes a file or a directory. Pipes are written with `write`, files never. */
const CALLS = ['pwrite64', 'pwritev', 'pwritev2', 'fdatasync', 'fsync', 'rename', 'unlink'] as const;
const WORKLOAD = join(ROOT, 'tests', 'persistence', 'crash-workload.mjs');
/** Two processes at a time: the machines this runs on have two cores. */
const AT_ONCE = 2;
const RUN_LIMIT_MS = 60_000;

/** The two scripts: one over a log, one over a store. */
type Part = 'log' | 'store';
const PARTS: readonly Part[] = ['log', 'store'];

interface Outcome {
  readonly lines: readonly string[];
  readonly killed: boolean;
  readonly code: number | null;
  readonly errors: string;
}

let root = '';

beforeAll(async () => {
  const { code } = await run('strace', ['-V']).catch(() => ({ code: -1 }));
  if (code !== 0) throw new Error('the crash matrix needs strace: apt-get install strace');
  root = await fs.mkdtemp(join(tmpdir(), 'dw-crash-'));
});
afterAll(() => fs.rm(root, { recursive: true, force: true }));

/** Runs a program to its end. */
function run(program: string, args: readonly string[]): Promise<Outcome> {
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
    child.once('error', reject);
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      resolve({
        lines: output.trimEnd().split('\n'),
        killed: signal === 'SIGKILL' || code === 137,
        code,
        errors,
      });
    });
  });
}

/** What came of a script that ran under strace. */
interface TracedOutcome extends Outcome {
  readonly part: Part;
  readonly directory: string;
}

/** Runs a script under strace in a directory of its own. */
async function runTraced(part: Part, name: string, options: readonly string[]): Promise<TracedOutcome> {
  const directory = join(root, `${part}-${name}`);
  await fs.mkdir(directory);
  // Not --seccomp-bpf: with it strace 6.1 counts, but does not send the signal from the second call on.
  const traced = ['-f', '-qq', ...options, process.execPath, WORKLOAD, part, directory];
  return { ...(await run('strace', traced)), part, directory };
}

/** Calls of each kind in an undisturbed run. */
async function countCalls(part: Part): Promise<Map<string, number>> {
  const trace = join(root, `${part}.trace`);
  const { code, errors } = await runTraced(part, 'count', [
    '-o',
    trace,
    '-y',
    '-e',
    `trace=write,writev,${CALLS.join(',')}`,
  ]);
  expect({ code, errors }).toEqual({ code: 0, errors: '' });
  const counts = new Map<string, number>();
  for (const line of (await fs.readFile(trace, 'utf8')).split('\n')) {
    if (!line.includes(join(root, `${part}-count`))) continue;
    const call = /^\d+ +([a-z0-9]+)\(/.exec(line)?.[1] ?? '';
    // A call that is not on the list would be a moment at which nobody was killed.
    expect(CALLS).toContain(call);
    counts.set(call, (counts.get(call) ?? 0) + 1);
  }
  return counts;
}

/** The last number told behind a word; 0 if it was not told. */
function told(lines: readonly string[], word: string): number {
  const line = lines.findLast((candidate) => candidate.startsWith(`${word} `));
  return line === undefined ? 0 : Number(line.slice(word.length + 1));
}

async function checkLog(directory: string, lines: readonly string[], trace: string): Promise<void> {
  const log = await FileAppendLog.open({ ...LOG_OPTIONS, directory });
  try {
    expect({ trace, ok: log.nextPosition >= told(lines, 'log') }).toEqual({ trace, ok: true });
    expect({ trace, ok: log.nextPosition <= LOG_TOTAL + 1 }).toEqual({ trace, ok: true });
    expect({ trace, ok: log.firstPosition <= Math.max(1, told(lines, 'dropping')) }).toEqual({
      trace,
      ok: true,
    });
    let next = log.firstPosition;
    for await (const { position, data } of log.scan()) {
      const ok = position === next && recordAt(position).equals(data);
      expect({ trace, position, ok }).toEqual({ trace, position: next, ok: true });
      next += 1;
    }
    expect({ trace, next }).toEqual({ trace, next: log.nextPosition });
    expect({ trace, at: await log.append(Buffer.from('goes on')) }).toEqual({ trace, at: next });
  } finally {
    await log.close();
  }
}

/** The store holds what it held after all acknowledged operations, or after one more, and nothing in between. */
async function checkStore(directory: string, lines: readonly string[], trace: string): Promise<void> {
  const store = await FileBackingStore.open({ ...STORE_OPTIONS, directory });
  try {
    const found = new Map<string, string>();
    for (const path of await store.listAsync('')) {
      found.set(path, Buffer.from((await store.readAsync(path)) ?? []).toString('latin1'));
    }
    const done = told(lines, 'store');
    const allowed = [done, Math.min(done + 1, STORE_SCRIPT.length)].map(stateAfter);
    const matches = allowed.some((state) => sameState(state, found));
    const seen = [...found].map(([path, text]) => `${path}: ${text.length} ${text.slice(0, 12)}`);
    expect({ trace, matches, seen: matches ? [] : seen }).toEqual({ trace, matches: true, seen: [] });
    const version = await store.writeAsync('dw://goes/on', Buffer.from('yes'));
    expect({ trace, ok: version > 0 }).toEqual({ trace, ok: true });
  } finally {
    await store.closeAsync();
  }
}

function stateAfter(count: number): Map<string, Buffer> {
  const state = new Map<string, Buffer>();
  for (const operation of STORE_SCRIPT.slice(0, count)) operation.model(state);
  return state;
}

function sameState(state: ReadonlyMap<string, Buffer>, found: ReadonlyMap<string, string>): boolean {
  return (
    state.size === found.size &&
    [...state].every(([path, data]) => found.get(path) === data.toString('latin1'))
  );
}

async function check({ part, directory, lines }: TracedOutcome, trace: string): Promise<void> {
  if (part === 'log') await checkLog(directory, lines, trace);
  else await checkStore(directory, lines, trace);
  await fs.rm(directory, { recursive: true });
}

/** Does all of `work`, a few at a time. */
async function inParallel<T>(work: readonly T[], each: (item: T) => Promise<void>): Promise<void> {
  const queue = work.values();
  const worker = async (): Promise<void> => {
    for (const item of queue) await each(item);
  };
  // All have ended before the first failure is told, so that nobody writes into directories that are being removed.
  const outcomes = await Promise.allSettled(Array.from({ length: AT_ONCE }, worker));
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}

describe('crash matrix', () => {
  it.each(PARTS)(
    '%s: killed before any call that changes a file, nothing is lost or made up',
    async (part) => {
      const counts = await countCalls(part);
      for (const call of ['pwrite64', 'fdatasync', 'fsync', 'rename', 'unlink']) {
        expect({ call, some: (counts.get(call) ?? 0) > 0 }).toEqual({ call, some: true });
      }
      const points = [...counts].flatMap(([call, count]) =>
        Array.from({ length: count }, (_, index) => ({ call, nth: index + 1 })),
      );
      let killed = 0;
      await inParallel(points, async ({ call, nth }) => {
        const trace = `${part} killed at ${call} ${nth}`;
        const options = ['-e', `trace=${call}`, '-e', `inject=${call}:signal=SIGKILL:when=${nth}`];
        const outcome = await runTraced(part, `${call}-${nth}`, [...options, '-o', '/dev/null']);
        if (outcome.killed) killed += 1;
        else
          expect({ trace, code: outcome.code, errors: outcome.errors }).toEqual({
            trace,
            code: 0,
            errors: '',
          });
        await check(outcome, trace);
      });
      console.log(`${part} killed at ${killed} of ${points.length} calls: ${JSON.stringify([...counts])}`);
      // The background work of the store may make a call fewer in one run than in another; the log has none.
      expect(killed).toBeGreaterThanOrEqual(part === 'log' ? points.length : points.length * 0.95);
    },
  );

  it.each([
    ['fdatasync', 'EIO'],
    ['pwrite64', 'ENOSPC'],
    ['pwrite64', 'EIO'],
    ['rename', 'EIO'],
  ])(
    '%s fails with %s: that is final, and nothing is acknowledged that is not there',
    async (call, error) => {
      const points = PARTS.flatMap((part) =>
        [1, 2, 3, 5, 8, 13].filter((nth) => call !== 'rename' || nth < 5).map((nth) => ({ part, nth })),
      );
      let failed = 0;
      await inParallel(points, async ({ part, nth }) => {
        const trace = `${part}: ${call} ${nth} fails with ${error}`;
        // From this call on for a write: a full disk stays full. Once for a sync: the next one would report success.
        const when = call === 'fdatasync' ? `${nth}` : `${nth}+`;
        const inject = ['-e', `trace=${call}`, '-e', `inject=${call}:error=${error}:when=${when}`];
        const outcome = await runTraced(part, `${call}-${error}-${nth}`, [...inject, '-o', '/dev/null']);
        expect({ trace, code: outcome.code, errors: outcome.errors }).toEqual({ trace, code: 0, errors: '' });
        if (outcome.lines.some((line) => line.startsWith('failed '))) failed += 1;
        await check(outcome, trace);
      });
      expect(failed).toBe(points.length);
    },
  );

  it('names a flipped bit in any part of the real files, or gives back what was written', async () => {
    const outcome = await runTraced('log', 'flips', ['-o', '/dev/null', '-e', 'trace=fsync']);
    const { directory } = outcome;
    const first = Math.max(1, told(outcome.lines, 'dropping'));
    const names = (await fs.readdir(directory)).filter((name) => name.endsWith('.log'));
    let named = 0;
    for (const name of names) {
      const path = join(directory, name);
      const content = await fs.readFile(path);
      // A seeded sample, spread over the file: the unit tests take every byte of a small log.
      for (let offset = 3; offset < content.byteLength; offset += 1499) {
        const flipped = Buffer.from(content);
        flipped[offset] = (flipped[offset] ?? 0) ^ (1 << (offset % 8));
        await fs.writeFile(path, flipped);
        try {
          const log = await FileAppendLog.open({ ...LOG_OPTIONS, directory });
          let count = 0;
          for await (const { position, data } of log.scan(first)) {
            expect({ name, offset, ok: recordAt(position).equals(data) }).toEqual({ name, offset, ok: true });
            count += 1;
          }
          await log.close();
          expect({ name, offset, count }).toEqual({ name, offset, count: LOG_TOTAL + 1 - first });
        } catch (error) {
          if (!isDwError(error, 'log-damaged')) throw error;
          named += 1;
          expect(error.message).toContain(name);
        }
        await fs.writeFile(path, content);
      }
    }
    expect(named).toBeGreaterThan(30);
    await check(outcome, 'after the flips were undone');
  });
});
