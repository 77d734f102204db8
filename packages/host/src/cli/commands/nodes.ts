// `dw nodes`: the nodes of the cluster, what each holds and leads, and taking one out.

import { DwError } from '@datawarehouse/sdk';
import type { ApiClient, CommonOptions } from '../api-client.js';
import { withClient } from '../common-options.js';
import { printJson, printLine, printTable } from '../output.js';

interface DirectoryNode {
  readonly id: string;
  readonly peer: string;
  readonly http: string | null;
  readonly client: string | null;
  readonly state: string;
}

interface Directory {
  readonly nodes: readonly DirectoryNode[];
}

interface Group {
  readonly id: string;
  readonly leader: string | null;
  readonly voters: readonly string[];
  readonly learners?: readonly string[];
}

interface Reachable {
  readonly nodes: readonly { readonly id: string; readonly state: string }[];
}

const POLL_MS = 500;
/** A node that takes this long has gigabytes to hand over, or somebody is needed to look. */
const RETIRE_MS = 30 * 60_000;

/** `dw nodes`. */
export async function listNodes(options: CommonOptions): Promise<void> {
  await withClient(options, async (client) => {
    const [directory, groups, seen] = await Promise.all([
      client.json<Directory>('GET', '/v1/cluster/directory'),
      client.json<readonly Group[]>('GET', '/v1/groups', { query: { system: 'true' } }),
      client.json<Reachable>('GET', '/v1/cluster'),
    ]);
    const nodes = directory.nodes.map((node) => ({
      ...node,
      reachable: seen.nodes.find(({ id }) => id === node.id)?.state ?? 'unknown',
      leads: groups.filter(({ leader }) => leader === node.id).map(({ id }) => id),
      holds: groups
        .filter(({ voters, learners = [] }) => voters.includes(node.id) || learners.includes(node.id))
        .map(({ id }) => id),
    }));
    if (options.json === true) return printJson(nodes);
    await printTable(
      ['node', 'state', 'seen', 'http', 'peer', 'client', 'leads', 'holds'],
      nodes.map(({ id, state, reachable, http, peer, client: clients, leads, holds }) => [
        id,
        state,
        reachable,
        http,
        peer,
        clients,
        leads.join(' '),
        holds.join(' '),
      ]),
    );
  });
}

async function untilGone(client: ApiClient, node: string): Promise<void> {
  const until = performance.now() + RETIRE_MS;
  while (performance.now() < until) {
    const { nodes } = await client.json<Directory>('GET', '/v1/cluster/directory');
    const state = nodes.find(({ id }) => id === node)?.state;
    if (state === undefined) return;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  throw new DwError({
    code: 'retirement-unfinished',
    message: `${node} is still being retired; that goes on without this command`,
    hint: 'dw nodes shows what it holds; the logs of the leaders say what keeps it',
  });
}

/** `dw nodes retire NODE`. Resolves when it is a member no more. */
export async function retireNode(node: string, options: CommonOptions): Promise<void> {
  await withClient(options, async (client) => {
    const { state } = await client.json<{ readonly state: string }>('POST', '/v1/cluster/retire', {
      json: { nodeId: node },
    });
    if (state !== 'retired') await untilGone(client, node);
    if (options.json === true) return printJson({ nodeId: node, state: 'retired' });
    return printLine(`${node} is retired: it holds nothing any more, and its process can be stopped`);
  });
}
