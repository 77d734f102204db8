// `dw up` as a process: it keeps its cluster, starts a node that died again, and never leaves a node behind.

import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const SCRIPT = fileURLToPath(new URL('../../packages/host/bin/dw.js', import.meta.url));
const BASE_PORT = 18_400;
const WAIT = { timeout: 30_000 };

let directory: string;
const running: ChildProcess[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'dw-up-'));
  const data = join(directory, 'data');
  await mkdir(data);
  // Prepared as an operator could have: two nodes without plugins, which start fast.
  await writeFile(
    join(data, 'cluster.json'),
    JSON.stringify({ clusterId: 'test', nodes: 2, basePort: BASE_PORT }),
  );
  for (const [index, nodeId] of ['n1', 'n2'].entries()) {
    await writeFile(
      join(data, `${nodeId}.json`),
      JSON.stringify({
        nodeId,
        dataDir: join(data, nodeId),
        http: { port: BASE_PORT + index },
        peer: { port: BASE_PORT + 100 + index },
        plugins: [],
      }),
    );
  }
});

afterEach(async () => {
  for (const child of running.splice(0)) child.kill('SIGKILL');
  // Nodes that are stopping still write; they notice the closed pipe and go.
  await expect.poll(() => Promise.all([alive(0), alive(1)]), WAIT).toEqual([undefined, undefined]);
  await rm(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
});

function up(...args: string[]): { child: ChildProcess; output: () => string; ended: Promise<number | null> } {
  const child = spawn(process.execPath, [SCRIPT, 'up', '--data-dir', join(directory, 'data'), ...args]);
  running.push(child);
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  return { child, output: () => text, ended };
}

/** The process id of a node that answers. */
async function alive(index: number): Promise<number | undefined> {
  try {
    const response = await fetch(`http://127.0.0.1:${BASE_PORT + index}/healthz`);
    return ((await response.json()) as { pid: number }).pid;
  } catch {
    return undefined;
  }
}

describe('dw up', () => {
  it('is ready when every node is, and stops them all at SIGINT', async () => {
    const { child, output, ended } = up();
    await expect.poll(output, WAIT).toContain(`ready http://127.0.0.1:${BASE_PORT}\n`);
    const pids = await Promise.all([alive(0), alive(1)]);
    expect(new Set([...pids, child.pid, undefined]).size).toBe(4);
    child.kill('SIGINT');
    expect(await ended).toBe(0);
    expect(await Promise.all([alive(0), alive(1)])).toEqual([undefined, undefined]);
  });

  it('starts a node that was killed again, and says so', async () => {
    const { output } = up();
    await expect.poll(output, WAIT).toContain('ready ');
    const before = await alive(1);
    process.kill(before as number, 'SIGKILL');
    await expect.poll(output, WAIT).toContain('n2 is back');
    expect(output()).toContain('n2 has died (killed by SIGKILL); it starts again in 1 s');
    const after = await alive(1);
    expect(after).toBeDefined();
    expect(after).not.toBe(before);
  });

  it('leaves no node behind when it is killed itself', async () => {
    const { child, output } = up();
    await expect.poll(output, WAIT).toContain('ready ');
    child.kill('SIGKILL');
    await expect.poll(() => Promise.all([alive(0), alive(1)]), WAIT).toEqual([undefined, undefined]);
  });

  it('refuses flags that contradict the kept cluster', async () => {
    const { output, ended } = up('--nodes', '3');
    expect(await ended).toBe(1);
    expect(output()).toContain('holds a cluster of 2 nodes, and one of 3 was asked for');
  });

  it('says why a node did not start, and stops the others', async () => {
    await writeFile(join(directory, 'data', 'n2.json'), '{"nodeId":"n2"}');
    const { output, ended } = up();
    expect(await ended).toBe(1);
    expect(output()).toContain('n2 did not start: exit code 1');
    expect(output()).toContain('"dataDir" is missing');
    expect(await alive(0)).toBeUndefined();
  });
});
