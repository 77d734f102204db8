// Starts, watches, pauses and kills the processes of a test, and leaves none behind.

import { spawn } from 'node:child_process';
import type { ChildProcess, SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';

/** The project's root. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

const KEPT_OUTPUT = 64 * 1024;
const live = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of live) child.kill('SIGKILL');
});

/** A child process with the end of its output. */
export class TestProcess {
  private text = '';
  private readonly listeners = new Set<() => void>();
  readonly exited: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;

  private constructor(
    readonly child: ChildProcess,
    readonly title: string,
  ) {
    live.add(child);
    const keep = (chunk: Buffer): void => {
      this.text = (this.text + chunk.toString()).slice(-KEPT_OUTPUT);
      for (const listener of this.listeners) listener();
    };
    child.stdout?.on('data', keep);
    child.stderr?.on('data', keep);
    this.exited = new Promise((resolve) => {
      child.once('close', (code, signal) => {
        live.delete(child);
        resolve({ code, signal });
        for (const listener of this.listeners) listener();
      });
    });
  }

  static start(
    title: string,
    command: string,
    args: readonly string[],
    options: SpawnOptions = {},
  ): TestProcess {
    const child = spawn(command, args, { cwd: ROOT, stdio: ['pipe', 'pipe', 'pipe'], ...options });
    return new TestProcess(child, title);
  }

  /** Starts the `dw` command. */
  static dw(title: string, args: readonly string[], options: SpawnOptions = {}): TestProcess {
    return TestProcess.start(title, process.execPath, ['packages/host/bin/dw.js', ...args], options);
  }

  get output(): string {
    return this.text;
  }

  get running(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Resolves when the output holds `wanted`; rejects, with the output, when the process ends first. */
  async until(wanted: string | RegExp): Promise<void> {
    const there = (): boolean =>
      typeof wanted === 'string' ? this.text.includes(wanted) : wanted.test(this.text);
    await new Promise<void>((resolve, reject) => {
      const check = (): void => {
        if (there()) resolve();
        else if (!this.running)
          reject(new Error(`${this.title} ended before it said ${String(wanted)}:\n${this.text}`));
        else return;
        this.listeners.delete(check);
      };
      this.listeners.add(check);
      check();
    });
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Kills it outright and waits until it is gone. */
  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.exited;
  }
}

/** A free port of the loopback interface, below the range that outgoing connections use. */
export async function freePorts(count: number): Promise<number[]> {
  const found: number[] = [];
  for (let port = 20_000 + (process.pid % 5_000); found.length < count && port < 32_000; port++) {
    const server = createServer();
    server.listen(port, '127.0.0.1');
    const free = await once(server, 'listening').then(
      () => true,
      (error: NodeJS.ErrnoException) => {
        if (error.code !== 'EADDRINUSE') throw error;
        return false;
      },
    );
    if (!free) continue;
    found.push((server.address() as AddressInfo).port);
    server.close();
    await once(server, 'close');
  }
  return found;
}

/** A port from which on those of `nodes` nodes are free, by the scheme of `dw up`: HTTP, peers 100 above, clients 200. */
export async function freePortBlock(nodes = 6): Promise<number> {
  for (let base = 25_000 + (process.pid % 500) * 10; base < 32_000; base += 300) {
    const wanted = [0, 100, 200].flatMap((step) => Array.from({ length: nodes }, (_, n) => base + step + n));
    const free = await Promise.all(wanted.map(isFree));
    if (free.every(Boolean)) return base;
  }
  throw new Error('no block of ports is free');
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

/** Asks again and again until `attempt` gives something other than undefined; rejects after `timeoutMs`. */
export async function eventually<T>(
  what: string,
  attempt: () => Promise<T | undefined>,
  timeoutMs = 60_000,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const got = await attempt();
      if (got !== undefined) return got;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadline) throw new Error(`${what}: not within ${timeoutMs} ms`, { cause: last });
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
