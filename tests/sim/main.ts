// The commands `npm run sim` and `npm run soak`: simulates one seed, a range of them, or one after another until told to
// stop, and prints for each failure what was broken and the one command that repeats it.
//   --seed N | --seeds A-B   what to simulate; default: seed 1
//   --faults a,b             only these faults; `all`, or `none`
//   --nodes N                that many nodes
//   --trouble MS             so much simulated time of trouble
//   --directory yes|no       with a directory, and nodes that join and retire, or without
//   --trace FILE             writes every line of what happened; for one seed
//   --jobs N                 processes for a range; default: one for each core
//   --keep-going             does not stop at the first failure
//   --soak                   seeds that nobody has seen, without end

import { randomInt } from 'node:crypto';
import { commandOf } from './options.js';
import { type SeedReport, simulateMany } from './pool.js';
import { simulate } from './simulation.js';

/** Bytes that small buffers are cut from in a process that simulates many seeds. */
const POOL_BYTES = 64 * 1_024;

const command = commandOf(process.argv.slice(2));

if (command.worker) serve();
else if (command.soak) await many(unseen(), false);
else if (command.seeds[0] === command.seeds[1]) await alone(command.seeds[0]);
else await many(range(...command.seeds), true);

/** Simulates what the parent sends, until the parent is gone. */
function serve(): void {
  // Refusals are answers, made by the thousand. A seed that fails is repeated alone, with stacks.
  Error.stackTraceLimit = 0;
  // Most buffers are small, and come from a pool that is made anew when it is used up.
  Buffer.poolSize = POOL_BYTES;
  process.on('message', (message: { readonly seed: number }) => {
    void (async () => {
      process.send?.(await report(message.seed));
    })();
  });
  process.once('disconnect', () => process.exit());
}

async function report(seed: number): Promise<SeedReport> {
  const started = process.cpuUsage();
  const { violation, ...result } = await simulate({ seed, ...command.simulation });
  const { user, system } = process.cpuUsage(started);
  const shown =
    violation?.name === 'Violation'
      ? violation.message
      : violation?.stack?.split('\n').slice(0, 6).join('\n');
  return { ...result, violation: shown, cpuMs: (user + system) / 1_000 };
}

async function alone(seed: number): Promise<void> {
  const done = await report(seed);
  const { hash, simulatedMs, events, commits } = done;
  const simulated = `${(simulatedMs / 1_000).toFixed(1)} s simulated`;
  console.log(`seed ${seed}: ${hash}, ${simulated}, ${events} events, ${commits} entries committed`);
  if (done.violation !== undefined) {
    tellFailure(done);
    process.exitCode = 1;
  }
  process.exit();
}

async function many(seeds: Iterable<number>, bounded: boolean): Promise<void> {
  const sum = { seeds: 0, failed: 0, simulatedMs: 0, cpuMs: 0, commits: 0 };
  const onReport = (done: SeedReport): boolean => {
    sum.seeds++;
    sum.simulatedMs += done.simulatedMs;
    sum.cpuMs += done.cpuMs;
    sum.commits += done.commits;
    if (done.violation !== undefined) {
      sum.failed++;
      tellFailure(done);
    }
    if (!bounded && sum.seeds % 100 === 0) tellSum(sum);
    return done.violation === undefined || command.keepGoing;
  };
  const { jobs, rest } = command;
  await simulateMany(seeds, { args: rest, onReport, ...(jobs === undefined ? {} : { jobs }) });
  tellSum(sum);
  process.exit(sum.failed === 0 ? 0 : 1);
}

function tellSum(sum: {
  seeds: number;
  failed: number;
  simulatedMs: number;
  cpuMs: number;
  commits: number;
}): void {
  const simulated = `${Math.round(sum.simulatedMs / 1_000)} s simulated`;
  const speed = `${Math.round(sum.simulatedMs / sum.cpuMs)} × real time on each core`;
  console.log(
    `${sum.seeds} seeds, ${sum.failed} failed, ${simulated}, ${speed}, ${sum.commits} entries committed`,
  );
}

function tellFailure({ seed, violation }: SeedReport): void {
  console.log(`seed ${seed} FAILED: ${violation}`);
  console.log(`  repeat it with: npm run sim -- --seed ${[seed, ...command.rest].join(' ')}`);
}

function* range(first: number, last: number): Generator<number> {
  for (let seed = first; seed <= last; seed++) yield seed;
}

function* unseen(): Generator<number> {
  for (;;) yield randomInt(2 ** 40);
}
