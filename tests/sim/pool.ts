// Simulates many seeds, one process for each core. A process that ends, or that says nothing for long, is a failure of
// the seed that it was at.

import { type ChildProcess, fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';

/** What a process tells of one seed. */
export interface SeedReport {
  readonly seed: number;
  readonly violation: string | undefined;
  readonly hash: string;
  readonly simulatedMs: number;
  readonly cpuMs: number;
  readonly events: number;
  readonly commits: number;
}

/** What the processes are given besides seeds. */
export interface PoolOptions {
  /** Arguments of the simulator that all seeds have in common. */
  readonly args?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** Processes; default: one for each core. */
  readonly jobs?: number;
  /** Told of each seed as it ends. @returns false when no further seeds are wanted. */
  readonly onReport?: (report: SeedReport) => boolean;
}

/** No seed takes nearly as long, on any machine. */
const SILENCE_MS = 300_000;
/** What a simulation leaves behind is of no use to the next: room for it is cheaper than looking through it. */
const HEAP = ['--min-semi-space-size=64', '--max-semi-space-size=64', '--initial-old-space-size=1024'];
/**
 * Most code of a simulation runs some hundred times in a seed: too often to be interpreted, not enough to be optimised.
 * To optimise a function takes milliseconds, so only those are that run several times as often as Node.js asks for. What
 * is not used for a while is needed again by some later seed.
 */
const CODE = ['--always-sparkplug', '--interrupt-budget=300000', '--no-flush-bytecode'];
const FLAGS = [...CODE, '--single-threaded-gc', ...HEAP];
const MAIN = fileURLToPath(new URL('main.ts', import.meta.url));
const REGISTER = new URL('register.mjs', import.meta.url).href;

/** Simulates seeds, and resolves with their reports in the order of the seeds. */
export async function simulateMany(
  seeds: Iterable<number>,
  options: PoolOptions = {},
): Promise<readonly SeedReport[]> {
  const reports: SeedReport[] = [];
  const queue = seeds[Symbol.iterator]();
  let wanted = true;
  const next = (): number | undefined => {
    const { done, value } = queue.next();
    return done === true || !wanted ? undefined : value;
  };
  const take = (report: SeedReport): void => {
    reports.push(report);
    if (options.onReport?.(report) === false) wanted = false;
  };
  const jobs = options.jobs ?? availableParallelism();
  await Promise.all(Array.from({ length: jobs }, () => work(next, take, options)));
  return reports.sort((a, b) => a.seed - b.seed);
}

async function work(
  next: () => number | undefined,
  take: (report: SeedReport) => void,
  options: PoolOptions,
): Promise<void> {
  let child: ChildProcess | undefined;
  for (let seed = next(); seed !== undefined; seed = next()) {
    child ??= start(options);
    const report = await one(child, seed);
    take(report);
    if (child.exitCode !== null || child.signalCode !== null || !child.connected) child = undefined;
  }
  child?.disconnect();
}

function start({ args = [], env = process.env }: PoolOptions): ChildProcess {
  return fork(MAIN, ['--worker', ...args], {
    env,
    execArgv: [...FLAGS, '--conditions=source', '--import', REGISTER],
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
  });
}

function one(child: ChildProcess, seed: number): Promise<SeedReport> {
  return new Promise((resolve) => {
    let said = '';
    const onText = (text: Buffer): void => {
      said = (said + text.toString()).slice(-4_000);
    };
    const end = (report: SeedReport): void => {
      clearTimeout(silence);
      child.off('message', onMessage).off('exit', onExit);
      child.stderr?.off('data', onText);
      resolve(report);
    };
    const broken = (why: string): void => {
      end({ seed, violation: why, hash: '', simulatedMs: 0, cpuMs: 0, events: 0, commits: 0 });
    };
    const onMessage = (message: unknown): void => end(message as SeedReport);
    const onExit = (code: number | null): void => broken(`its process ended with ${code}: ${said}`);
    const silence = setTimeout(() => {
      child.kill('SIGKILL');
      broken(`nothing was heard of it for ${SILENCE_MS} ms`);
    }, SILENCE_MS);
    child.on('message', onMessage).on('exit', onExit);
    child.stderr?.on('data', onText);
    child.send({ seed });
  });
}
