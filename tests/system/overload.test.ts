// Twice the load the nodes can take, for a minute: memory stays flat and the surplus is refused at once.

import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { TestCluster } from '../support/cluster.js';
import { ROOT } from '../support/processes.js';

const SECONDS = 60;
/** Before this the nodes' heaps still grow to the size that the load needs. */
const WARM_UP_SECONDS = 20;

let cluster: TestCluster | undefined;
afterEach(async () => {
  await cluster?.stop();
  cluster = undefined;
});

/** Runs a load generator in a process of its own and resolves with what it printed. */
function generate<T>(script: string, order: Record<string, unknown>): Promise<T> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(ROOT, 'bench/load', script), JSON.stringify(order)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    child.once('close', (code) => {
      if (code === 0) resolve(JSON.parse(text) as T);
      else reject(new Error(`${script} ended with ${code}`));
    });
  });
}

/** Resident memory of a process in MiB. */
async function residentMiB(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

it('memory stays flat and surplus requests are refused at once', async () => {
  cluster = await TestCluster.create({ proxied: false });
  await cluster.start();
  const targets = cluster.nodes.map(({ httpPort }) => ({ host: '127.0.0.1', port: httpPort }));
  const common = { targets, valueBytes: 256, keys: 5_000 };

  const capacity = await generate<{ perSecond: number }>('generator.mjs', {
    ...common,
    kind: 'http1',
    clients: 128,
    seconds: 5,
    warmupSeconds: 3,
  });

  const load = generate<{ ok: number; refused: number; unsent: number }>('open-loop.mjs', {
    ...common,
    perSecond: Math.round(capacity.perSecond * 2),
    seconds: SECONDS,
    maxConnections: 3_000,
  });
  const samples = new Map<string, number[]>(cluster.nodes.map(({ id }) => [id, []]));
  for (let second = 0; second < SECONDS - 2; second++) {
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    for (const node of cluster.nodes) {
      samples.get(node.id)?.push(await residentMiB(node.process?.child.pid as number));
    }
  }
  const answers = await load;

  for (const [id, all] of samples) {
    // Means of ten seconds: a single sample shows where the garbage collector stands, not what is kept.
    const flat = all.slice(WARM_UP_SECONDS);
    const windows = Array.from({ length: Math.floor(flat.length / 10) }, (_, i) =>
      mean(flat.slice(i * 10, i * 10 + 10)),
    );
    const middle = mean(windows);
    for (const window of windows) {
      expect(
        Math.abs(window - middle) / middle,
        `${id}: ${windows.map((v) => v.toFixed(0)).join(', ')} MiB`,
      ).toBeLessThan(0.1);
    }
  }
  expect(answers.ok, 'it goes on serving').toBeGreaterThan(capacity.perSecond * 5);
  expect(answers.refused, 'the surplus is refused').toBeGreaterThan(0);
  await cluster.ready();
}, 240_000);
