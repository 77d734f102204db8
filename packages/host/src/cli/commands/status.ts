// `dw status`: the nodes of the cluster and whether each is ready, and the groups in short.

import { isDwError } from '@datawarehouse/sdk';
import type { ApiClient, CommonOptions } from '../api-client.js';
import { withClient } from '../common-options.js';
import { printJson, printLine, printTable } from '../output.js';
import { printGroups } from './groups.js';
import type { GroupView } from './groups.js';

interface NodeView {
  readonly id: string;
  readonly http?: string | null;
  readonly peer?: string;
  readonly state: string;
  readonly version?: string | null;
  readonly pid?: number | null;
}

interface Readiness {
  readonly ready: boolean;
  readonly reasons: readonly string[];
}

const PROBE_MS = 2_000;

async function readiness(client: ApiClient): Promise<Readiness> {
  try {
    return await client.json<Readiness>('GET', '/readyz', { timeoutMs: PROBE_MS });
  } catch (thrown) {
    if (isDwError(thrown, 'not-ready')) {
      return { ready: false, reasons: (thrown.details?.['reasons'] ?? []) as readonly string[] };
    }
    return { ready: false, reasons: [thrown instanceof Error ? thrown.message : String(thrown)] };
  }
}

/** What the plugins of this host do not serve is left out of the picture, not an error. */
async function ifServed<T>(promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise;
  } catch (thrown) {
    if (isDwError(thrown, 'not-found')) return undefined;
    throw thrown;
  }
}

async function nodesOf(client: ApiClient, url: string): Promise<readonly NodeView[]> {
  const cluster = await ifServed(client.json<{ nodes: readonly NodeView[] }>('GET', '/v1/cluster'));
  if (cluster !== undefined) return cluster.nodes;
  const own = await client.json<{ nodeId: string; version: string; pid: number }>('GET', '/healthz');
  return [{ id: own.nodeId, http: url, state: 'alive', version: own.version, pid: own.pid }];
}

/** `dw status`. */
export async function status(options: CommonOptions): Promise<void> {
  await withClient(options, async (client) => {
    const [nodes, groups] = await Promise.all([
      nodesOf(client, options.url),
      ifServed(client.json<readonly GroupView[]>('GET', '/v1/groups')),
    ]);
    const ready = await Promise.all(
      nodes.map(async ({ http }) =>
        // Without the token: /readyz asks for none, and these addresses are what the host says they are.
        typeof http === 'string' ? withClient({ url: http, token: '' }, readiness) : undefined,
      ),
    );
    const shown = nodes.map((node, index) => ({
      ...node,
      ready: ready[index]?.ready ?? false,
      reasons: ready[index]?.reasons ?? [],
    }));
    if (options.json === true) return printJson({ nodes: shown, groups: groups ?? [] });
    await printTable(
      ['node', 'state', 'ready', 'http', 'peer', 'version', 'pid', 'why'],
      shown.map((node) => [
        node.id,
        node.state,
        node.ready ? 'yes' : 'no',
        node.http,
        node.peer,
        node.version,
        node.pid,
        node.reasons.join('; '),
      ]),
    );
    if (groups === undefined) return;
    await printLine('');
    return printGroups(groups);
  });
}
