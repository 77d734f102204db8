// `dw start`: one host in this process, from its configuration to its last breath.

import { resolve as resolvePath } from 'node:path';
import { loadNodeConfig } from '../../config/node-config.js';
import type { JoinWish } from '../cluster/join-cluster.js';
import { optimizeEarly } from '../early-optimization.js';
import { collectSeldom } from '../heap-growth.js';
import { EXIT, UsageError } from '../errors.js';
import { printLine } from '../output.js';

/** What `dw start` is asked for. */
export interface StartOptions extends JoinWish {
  readonly config?: string;
  /** URL of a host of the cluster to join. */
  readonly join?: string;
  readonly supervised?: boolean;
  /** Folders of plugins to load beside those of the configuration. */
  readonly plugin?: readonly string[];
}

const JOIN_ONLY = ['nodeId', 'dataDir', 'httpPort', 'peerPort', 'clientPort', 'token'] as const;

/** A host that hangs while it stops is left behind after this; each step of the stop has a shorter deadline. */
const STOP_MS = 60_000;

/** Resolves at the first signal to stop; the second ends the process at once. */
function stopRequested(supervised: boolean): Promise<string> {
  return new Promise((resolve) => {
    let asked = false;
    const onSignal = (signal: NodeJS.Signals): void => {
      // Ctrl-C reaches every process of the terminal. Who supervises decides what it means.
      if (supervised && signal === 'SIGINT') return;
      if (asked) process.exit(128 + (signal === 'SIGINT' ? 2 : 15));
      asked = true;
      resolve(signal);
    };
    process.on('SIGTERM', onSignal);
    process.on('SIGINT', onSignal);
    if (!supervised) return;
    // The pipe closes when the supervisor wants this host to stop, and also when the supervisor is killed.
    const onGone = (): void => {
      asked = true;
      resolve('the supervisor has closed the pipe');
    };
    process.stdin.once('end', onGone).once('error', onGone).once('close', onGone).resume();
  });
}

async function configFileOf({ config, join, ...wish }: StartOptions): Promise<string> {
  if (join !== undefined) {
    const { joinCluster } = await import('../cluster/join-cluster.js');
    return joinCluster(join, { ...wish, ...(config === undefined ? {} : { config }) });
  }
  if (config === undefined) throw new UsageError('dw start needs --config FILE, or --join URL');
  const stray = JOIN_ONLY.find((name) => wish[name] !== undefined);
  if (stray !== undefined) throw new UsageError(`--${kebab(stray)} is for --join only; set it in ${config}`);
  return config;
}

function kebab(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** `dw start`. Resolves when the host has stopped because it was asked to. */
export async function start(options: StartOptions): Promise<void> {
  optimizeEarly();
  collectSeldom();
  const loaded = await loadNodeConfig(await configFileOf(options));
  const given = (options.plugin ?? []).map((folder) => ({ package: resolvePath(folder) }));
  const config = { ...loaded, extraPlugins: [...loaded.extraPlugins, ...given] };
  const stop = stopRequested(options.supervised === true);
  const { Host } = await import('../../kernel/host.js');
  try {
    const host = await Host.create(config);
    const { url } = await host.start();
    await printLine(`ready ${url}`);
    await stop;
    const late = setTimeout(() => {
      process.stderr.write(`dw: ${config.nodeId} did not stop within ${STOP_MS} ms and is ended\n`);
      process.exit(EXIT.failed);
    }, STOP_MS);
    await host.stop();
    clearTimeout(late);
  } finally {
    // Whatever a plugin has left behind (a timer, a socket) must not keep a stopped host alive. The exit code is the
    // one that is set until then.
    setImmediate(() => process.exit());
  }
}
