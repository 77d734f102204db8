// Runs one node of a local cluster as a process of its own: starts it, keeps its log, starts it again when it dies,
// stops it. The node watches the pipe on its standard input and stops when this process is gone, however it went.

import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { nodeDidNotStart } from '../errors.js';
import { nodeFlags } from '../young-generation.js';
import type { LocalNode } from './cluster-file.js';
import { RotatingLog } from './rotating-log.js';

/** Told of what happens to nodes; one line each. */
export type Report = (line: string) => void;

const SCRIPT = fileURLToPath(new URL('../../../bin/dw.js', import.meta.url));
const FIRST_RESTART_MS = 1_000;
const LAST_RESTART_MS = 30_000;
/** A node that ran this long has recovered: the next restart is quick again. */
const STEADY_MS = 60_000;
/** Longer than a node takes to stop in order. */
const STOP_MS = 20_000;
const SHOWN_LINES = 5;

/** One node's process. */
export class NodeSupervisor {
  private child: ChildProcess | undefined;
  private readonly log: RotatingLog;
  private stopping = false;
  private started = false;
  private restartMs = FIRST_RESTART_MS;
  private restartTimer: NodeJS.Timeout | undefined;
  private gone: Promise<void> = Promise.resolve();
  private readonly firstReady: Promise<void>;
  private readonly settleFirst: { resolve: () => void; reject: (error: Error) => void };

  constructor(
    private readonly node: LocalNode,
    private readonly report: Report,
    private readonly plugins: readonly string[] = [],
  ) {
    this.log = new RotatingLog(node.logFile);
    // What a log cannot take is lost; RotatingLog says why. The stream itself must not end this process.
    this.log.on('error', () => {});
    let settle: NodeSupervisor['settleFirst'] | undefined;
    this.firstReady = new Promise((resolve, reject) => (settle = { resolve, reject }));
    this.settleFirst = settle ?? { resolve: () => {}, reject: () => {} };
    // Heard of by whoever waits in start(); without a waiter it is no failure of this process.
    this.firstReady.catch(() => {});
  }

  /** Starts the process. Resolves once it has said that it is ready. @throws DwError `node-did-not-start`. */
  start(): Promise<void> {
    this.launch();
    return this.firstReady;
  }

  /** Stops the process in order, or by force if it does not. Resolves when it is gone. */
  async stop(): Promise<void> {
    this.stopping = true;
    clearTimeout(this.restartTimer);
    this.settleFirst.reject(nodeDidNotStart(this.node.id, 'it was stopped'));
    const force = setTimeout(() => {
      this.report(`${this.node.id} does not stop and is killed`);
      this.kill();
    }, STOP_MS);
    this.child?.stdin?.end();
    await this.gone;
    clearTimeout(force);
    await new Promise<void>((resolve) => this.log.end(() => resolve()));
  }

  /** Ends the process at once. */
  kill(): void {
    this.stopping = true;
    clearTimeout(this.restartTimer);
    this.child?.kill('SIGKILL');
  }

  private launch(): void {
    const startedAt = performance.now();
    const child = spawn(
      process.execPath,
      [
        ...nodeFlags(process.execArgv, process.env['NODE_OPTIONS']),
        SCRIPT,
        'start',
        '--supervised',
        '--config',
        this.node.configFile,
        ...this.plugins.flatMap((folder) => ['--plugin', folder]),
      ],
      { stdio: ['pipe', 'pipe', 'pipe'] },
    );
    this.child = child;
    child.stdin.on('error', () => {});
    child.stderr.pipe(this.log, { end: false });
    let head = '';
    child.stdout.on('data', (chunk: Buffer) => {
      if (head.length > 4_096) return;
      head += chunk.toString('utf8');
      if (!/^ready /m.test(head)) return;
      head = ' '.repeat(4_097);
      if (this.started) this.report(`${this.node.id} is back`);
      this.started = true;
      this.settleFirst.resolve();
    });
    this.gone = new Promise((resolve) => {
      let over = false;
      const end = (why: string): void => {
        if (over) return;
        over = true;
        resolve();
        this.ended(why, performance.now() - startedAt);
      };
      child.once('error', (error) => end(error.message));
      child.once('close', (code, signal) =>
        end(signal === null ? `exit code ${code}` : `killed by ${signal}`),
      );
    });
  }

  private ended(why: string, ranMs: number): void {
    if (this.stopping) return;
    const tail = this.log.tail(SHOWN_LINES);
    if (!this.started) {
      this.settleFirst.reject(
        nodeDidNotStart(this.node.id, `${why}; ${this.node.logFile} ends with\n${tail}`),
      );
      return;
    }
    if (ranMs >= STEADY_MS) this.restartMs = FIRST_RESTART_MS;
    this.report(
      `${this.node.id} has died (${why}); it starts again in ${this.restartMs / 1_000} s; see ${this.node.logFile}`,
    );
    this.restartTimer = setTimeout(() => this.launch(), this.restartMs);
    this.restartMs = Math.min(LAST_RESTART_MS, this.restartMs * 2);
  }
}
