// `dw up`: a local cluster, one process a node, watched until it is told to stop.

import { resolve } from 'node:path';
import type { ApiClient } from '../api-client.js';
import { openCluster, prepareNodes } from '../cluster/cluster-file.js';
import type { LocalNode } from '../cluster/cluster-file.js';
import { NodeSupervisor } from '../cluster/node-supervisor.js';
import { withClient } from '../common-options.js';
import { printLine } from '../output.js';

/** What `dw up` is asked for. */
export interface UpOptions {
  readonly nodes?: number;
  readonly basePort?: number;
  readonly dataDir: string;
  /** Folders of plugins that each node loads beside those that ship. */
  readonly plugin?: readonly string[];
}

const POLL_MS = 50;
const PROBE_MS = 2_000;
/** After this long without being ready, it says who is not and why, and again as often. */
const EXPLAIN_MS = 10_000;

/** Resolves at Ctrl-C or SIGTERM; the second one calls `kill` and ends the process. */
function stopRequested(kill: () => void): Promise<'stop'> {
  return new Promise((resolve) => {
    let asked = false;
    const onSignal = (signal: NodeJS.Signals): void => {
      if (asked) {
        kill();
        process.exit(128 + (signal === 'SIGINT' ? 2 : 15));
      }
      asked = true;
      resolve('stop');
    };
    process.on('SIGINT', onSignal);
    process.on('SIGTERM', onSignal);
    // The terminal was closed.
    process.on('SIGHUP', onSignal);
  });
}

async function whyNotReady(client: ApiClient): Promise<string | undefined> {
  try {
    await client.call('GET', '/readyz', { timeoutMs: PROBE_MS });
    return undefined;
  } catch (thrown) {
    return thrown instanceof Error ? thrown.message : String(thrown);
  }
}

async function untilReady(node: LocalNode, stopped: AbortSignal): Promise<void> {
  let explainAt = performance.now() + EXPLAIN_MS;
  await withClient({ url: node.url, token: '' }, async (client) => {
    while (!stopped.aborted) {
      const why = await whyNotReady(client);
      if (why === undefined) return;
      if (performance.now() > explainAt) {
        explainAt = performance.now() + EXPLAIN_MS;
        await printLine(`${node.id} is not ready yet: ${why}`);
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  });
}

function nextSteps(first: LocalNode, dataDir: string, nodes: number): string {
  const flag = first.url === 'http://127.0.0.1:7400' ? '' : ` --url ${first.url}`;
  return [
    '',
    `${nodes} ${nodes === 1 ? 'node' : 'nodes'}, data and logs in ${dataDir}. In another terminal, try:`,
    '',
    `  npx dw status${flag}`,
    `  npx dw kv put greeting hello${flag}`,
    `  npx dw kv get greeting${flag}`,
    `  npx dw limits${flag}`,
    '',
    `Every call is described at ${first.url}/openapi.json. A node that dies is started again. Ctrl-C stops all.`,
  ].join('\n');
}

async function stopAll(supervisors: readonly NodeSupervisor[]): Promise<void> {
  await Promise.all(supervisors.map((supervisor) => supervisor.stop()));
}

/** `dw up`. Resolves when all nodes have stopped because they were asked to. */
export async function up(options: UpOptions): Promise<void> {
  const directory = resolve(options.dataDir);
  const cluster = await openCluster(directory, options);
  const nodes = await prepareNodes(directory, cluster);
  const report = (line: string): void => void printLine(line);
  const supervisors = nodes.map((node) => new NodeSupervisor(node, report, options.plugin ?? []));
  const stopped = new AbortController();
  const stop = stopRequested(() => {
    for (const supervisor of supervisors) supervisor.kill();
  });
  try {
    const ready = Promise.all(
      nodes.map(async (node, index) => {
        await supervisors[index]?.start();
        await untilReady(node, stopped.signal);
        return 'ready' as const;
      }),
    );
    const first = nodes[0];
    if ((await Promise.race([ready, stop])) !== 'stop' && first !== undefined) {
      await printLine(`ready ${first.url}`);
      await printLine(nextSteps(first, options.dataDir, nodes.length));
      await stop;
    } else {
      // Told to stop before it was ready: nodes that did not come up are no failure any more.
      ready.catch(() => {});
    }
    await printLine('stopping');
  } finally {
    stopped.abort();
    await stopAll(supervisors);
  }
}
