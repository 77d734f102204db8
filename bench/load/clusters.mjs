// Starts three nodes of dw, and three of etcd when it is installed, on loopback, each with durable data in a folder of
// its own on the same disk.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout. */
export const root = fileURLToPath(new URL('../..', import.meta.url));

/** A base port with `count` free ports after it. */
export async function freeBase(count, from) {
  for (let base = from; base < 32_000; base += count) {
    const free = await Promise.all(
      Array.from(
        { length: count },
        (_, i) =>
          new Promise((resolve) => {
            const server = createServer();
            server.once('error', () => resolve(false));
            server.listen(base + i, '127.0.0.1', () => server.close(() => resolve(true)));
          }),
      ),
    );
    if (free.every(Boolean)) return base;
  }
  throw new Error('no free ports');
}

/** Waits until an attempt succeeds. */
export async function until(what, attempt, timeoutMs = 60_000) {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    try {
      if (await attempt()) return;
    } catch {
      // Not listening yet; asked again until the deadline.
    }
    if (performance.now() > deadline) throw new Error(`${what} was not ready within ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Ends processes and removes their directory. */
export function stopper(children, directory) {
  return async () => {
    for (const child of children) child.kill('SIGTERM');
    await Promise.all(
      children.map((child) => {
        if (child.exitCode !== null || child.signalCode !== null) return undefined;
        const timer = setTimeout(() => child.kill('SIGKILL'), 15_000);
        return new Promise((resolve) => child.once('close', resolve)).then(() => clearTimeout(timer));
      }),
    );
    rmSync(directory, { recursive: true, force: true });
  };
}

/** Three dw nodes by `dw up`. */
export async function startDw() {
  const directory = mkdtempSync(join(tmpdir(), 'dw-bench-'));
  const base = await freeBase(300, 21_000);
  const child = spawn(
    process.execPath,
    [join(root, 'packages/host/bin/dw.js'), 'up', '--base-port', String(base), '--data-dir', directory],
    { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] },
  );
  const stop = stopper([child], directory);
  const targets = [0, 1, 2].map((i) => ({
    host: '127.0.0.1',
    port: base + i,
    clientPort: base + 200 + i,
  }));
  try {
    for (const { host, port } of targets) {
      await until('dw', async () => (await fetch(`http://${host}:${port}/readyz`)).ok);
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return { kind: 'http1', targets, stop, directory };
}

/** Version of the etcd that is installed, or undefined. */
export function etcdVersion() {
  const found = spawnSync('etcd', ['--version'], { encoding: 'utf8' });
  return found.status === 0 ? /etcd Version: (\S+)/.exec(found.stdout)?.[1] : undefined;
}

/** Three etcd members. */
export async function startEtcd() {
  const directory = mkdtempSync(join(tmpdir(), 'dw-bench-etcd-'));
  const base = await freeBase(6, 24_000);
  const client = (i) => `http://127.0.0.1:${base + i}`;
  const peer = (i) => `http://127.0.0.1:${base + 3 + i}`;
  const members = [0, 1, 2].map((i) => `e${i}=${peer(i)}`).join(',');
  const children = [0, 1, 2].map((i) =>
    spawn(
      'etcd',
      [
        '--name',
        `e${i}`,
        '--data-dir',
        join(directory, `e${i}`),
        '--initial-cluster',
        members,
        '--listen-client-urls',
        client(i),
        '--advertise-client-urls',
        client(i),
        '--listen-peer-urls',
        peer(i),
        '--initial-advertise-peer-urls',
        peer(i),
        '--initial-cluster-token',
        directory,
        '--log-level',
        'error',
      ],
      { stdio: 'ignore', env: { ...process.env, ETCD_UNSUPPORTED_ARCH: process.arch } },
    ),
  );
  const stop = stopper(children, directory);
  try {
    for (const i of [0, 1, 2]) {
      await until('etcd', async () => (await (await fetch(`${client(i)}/health`)).json()).health === 'true');
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return { kind: 'grpc', targets: [0, 1, 2].map((i) => ({ host: '127.0.0.1', port: base + i })), stop };
}
