// `dw start --join`: makes a configuration for a node that joins a running cluster, and has the cluster know it. What the
// node is to be is written down before the cluster is asked, so that a command that was broken off and is given again
// asks for the same node and gets the same answer.

import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname, join, resolve } from 'node:path';
import { isDwError } from '@datawarehouse/sdk';
import { lockDataDir } from '../../kernel/data-dir-lock.js';
import type { ApiClient } from '../api-client.js';
import { withClient } from '../common-options.js';
import { cannotJoin } from '../errors.js';
import { PORT_STEP } from './cluster-file.js';
import { readText, writeDurably } from './files.js';

/** What the command line says of a node that joins. */
export interface JoinWish {
  readonly nodeId?: string;
  readonly dataDir?: string;
  readonly httpPort?: number;
  readonly peerPort?: number;
  readonly clientPort?: number;
  readonly token?: string;
  /** A configuration file with what it does not choose itself, such as TLS files and plugins. */
  readonly config?: string;
}

/** A node as the cluster's directory shows it. */
export interface KnownNode {
  readonly id: string;
  readonly peer: string;
  readonly http: string | null;
  readonly client?: string | null;
}

/** Ports of a node. */
export interface NodePorts {
  readonly http: number;
  readonly peer: number;
  readonly client: number;
}

type Json = Readonly<Record<string, unknown>>;

const DEFAULT_DIR = join('data', 'joined');
const CONFIG_NAME = 'node.json';
const HOST = '127.0.0.1';
const LAST_PORT = 65_535;
/** Ids that are tried when others join at the same time. */
const MAX_TRIES = 20;
const SECRET = 0o600;
const PATIENCE_MS = 20_000;
const RETRY_MS = 200;

/**
 * Has a node join, unless its data directory shows that it has, and gives its configuration file.
 * @throws DwError `join-refused`; of the host that was asked; `host-unreachable`.
 */
export async function joinCluster(url: string, wish: JoinWish): Promise<string> {
  const directory = resolve(wish.dataDir ?? (await freeDirectory()));
  const file = join(directory, CONFIG_NAME);
  const kept = await readConfig(file);
  if (kept !== undefined && !isPlan(kept)) return file;
  await mkdir(directory, { recursive: true });
  const token = wish.token ?? process.env['DW_TOKEN'] ?? '';
  await withClient({ url, token }, async (client) => {
    const { nodes } = await patiently(() =>
      client.json<{ nodes: readonly KnownNode[] }>('GET', '/v1/cluster/directory'),
    );
    const base = await baseOf(wish);
    for (let tries = 0; ; tries++) {
      const plan = kept ?? (await planFor(nodes, wish, base, directory, tries));
      await writeDurably(file, textOf(plan), SECRET);
      try {
        const config = await patiently(() => ask(client, plan, token));
        await writeDurably(file, textOf(config), SECRET);
        return;
      } catch (thrown) {
        const taken = isDwError(thrown, 'node-id-taken') || isDwError(thrown, 'node-address-taken');
        if (!taken || wish.nodeId !== undefined || kept !== undefined || tries >= MAX_TRIES) throw thrown;
      }
    }
  });
  return file;
}

/** Asks again while a cluster that has just begun, or elects a leader, says that it will soon be able to answer. */
async function patiently<T>(ask: () => Promise<T>): Promise<T> {
  const until = performance.now() + PATIENCE_MS;
  for (;;) {
    try {
      return await ask();
    } catch (thrown) {
      const passing = isDwError(thrown) && thrown.retryable && thrown.code !== 'host-unreachable';
      if (!passing || performance.now() > until) throw thrown;
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

/** Where a node keeps its data when nobody says: the first place that no running node has. */
async function freeDirectory(): Promise<string> {
  for (let n = 1; ; n++) {
    const directory = n === 1 ? DEFAULT_DIR : `${DEFAULT_DIR}-${n}`;
    try {
      await (await lockDataDir(resolve(directory))).release();
      return directory;
    } catch (thrown) {
      if (!isDwError(thrown, 'data-dir-in-use')) throw thrown;
    }
  }
}

/** The number that a node has in the scheme of `dw up`: 4 for n4. */
function numberOf(id: string): number | undefined {
  const digits = /^n([1-9]\d{0,4})$/.exec(id)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

function portOf(address: string | null | undefined): number {
  return Number(/:(\d{1,5})$/.exec(address ?? '')?.[1] ?? 0);
}

/**
 * Ports for node number `index` by the scheme of the nodes that are there: the HTTP port of node 1, one more for each
 * further node; peers and clients above it. Undefined when there is no room for it.
 */
export function portsFor(nodes: readonly KnownNode[], index: number): NodePorts | undefined {
  const placed = nodes.find(({ id }) => numberOf(id) !== undefined);
  // A node that has just begun may not have told its API yet; its peers are at a port that follows from it.
  const known = placed?.http === null ? portOf(placed.peer) - PORT_STEP : portOf(placed?.http);
  const first = placed === undefined ? 7_400 : known - (numberOf(placed.id) ?? 1) + 1;
  const http = first + index - 1;
  const ports = { http, peer: http + PORT_STEP, client: http + 2 * PORT_STEP };
  return http > 0 && ports.client <= LAST_PORT ? ports : undefined;
}

/** The number of the next node: above all that are there. */
export function nextIndex(nodes: readonly KnownNode[]): number {
  return Math.max(nodes.length, ...nodes.map(({ id }) => numberOf(id) ?? 0)) + 1;
}

async function planFor(
  nodes: readonly KnownNode[],
  wish: JoinWish,
  base: Json,
  directory: string,
  tries: number,
): Promise<Json> {
  const used = new Set(nodes.flatMap(({ peer, http, client }) => [peer, http, client].map(portOf)));
  const from = (wish.nodeId === undefined ? undefined : numberOf(wish.nodeId)) ?? nextIndex(nodes) + tries;
  for (let index = from; ; index++) {
    const scheme = portsFor(nodes, index);
    if (scheme === undefined)
      throw cannotJoin('no ports are free', 'give --http-port, --peer-port and --client-port');
    const chosen = {
      http: wish.httpPort ?? scheme.http,
      peer: wish.peerPort ?? scheme.peer,
      client: wish.clientPort ?? scheme.client,
    };
    const free = await Promise.all(
      Object.values(chosen).map(async (port) => !used.has(port) && (await isFree(port))),
    );
    if (free.every(Boolean)) return planned(wish.nodeId ?? `n${index}`, chosen, base, directory);
    const all = wish.httpPort !== undefined && wish.peerPort !== undefined && wish.clientPort !== undefined;
    if (all)
      throw cannotJoin(`not all of the ports ${Object.values(chosen).join(', ')} are free`, 'choose others');
  }
}

/** A configuration that is a plan still: it names no peers but the node itself. */
function planned(nodeId: string, ports: NodePorts, base: Json, directory: string): Json {
  const section = (name: string): Json => (base[name] ?? {}) as Json;
  const { host = HOST } = section('peer') as { readonly host?: string };
  return {
    ...base,
    nodeId,
    joins: true,
    dataDir: directory,
    http: { host: HOST, ...section('http'), port: ports.http },
    peer: { host: HOST, ...section('peer'), port: ports.peer },
    client: { ...section('client'), port: ports.client },
    peers: { [nodeId]: `${host}:${ports.peer}` },
  };
}

function isPlan(config: Json): boolean {
  return Object.keys(config['peers'] ?? {}).length < 2;
}

/** Asks the cluster to take the node in. @returns its configuration with what the cluster told. */
async function ask(client: ApiClient, plan: Json, token: string): Promise<Json> {
  const {
    nodeId,
    peers,
    http,
    client: clients,
  } = plan as {
    readonly nodeId: string;
    readonly peers: Readonly<Record<string, string>>;
    readonly http: {
      readonly host: string;
      readonly port: number;
      readonly tls?: unknown;
      readonly token?: string;
    };
    readonly client: { readonly host?: string; readonly port: number };
  };
  const answer = await client.json<{ clusterId: string; nodes: readonly KnownNode[] }>(
    'POST',
    '/v1/cluster/join',
    {
      json: {
        nodeId,
        peer: peers[nodeId],
        http: `${http.tls === undefined ? 'http' : 'https'}://${http.host}:${http.port}`,
        client: `${clients.host ?? http.host}:${clients.port}`,
      },
    },
  );
  return {
    ...plan,
    clusterId: answer.clusterId,
    http: token === '' ? http : { token, ...http },
    peers: Object.fromEntries(answer.nodes.map(({ id, peer }) => [id, peer])),
  };
}

async function readConfig(file: string): Promise<Json | undefined> {
  const text = await readText(file);
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value as Json;
  } catch {
    // Said below: a file that is there and is no configuration is nobody's to overwrite.
  }
  throw cannotJoin(`${file} is no configuration`, 'restore it, or choose another --data-dir');
}

/** What `--config` says, with its TLS files found from anywhere. */
async function baseOf({ config }: JoinWish): Promise<Json> {
  if (config === undefined) return {};
  const base = await readConfig(config);
  if (base === undefined) throw cannotJoin(`there is no ${config}`, 'check --config');
  const folder = dirname(resolve(config));
  const absolute = (section: unknown): unknown => {
    const { tls, ...rest } = (section ?? {}) as { readonly tls?: Readonly<Record<string, string>> };
    if (tls === undefined) return rest;
    const files = Object.entries(tls).map(([name, path]) => [name, resolve(folder, path)]);
    return { ...rest, tls: Object.fromEntries(files) as Json };
  };
  return { ...base, http: absolute(base['http']), peer: absolute(base['peer']) };
}

function isFree(port: number): Promise<boolean> {
  return new Promise((done) => {
    const server = createServer();
    server.once('error', () => done(false));
    server.listen(port, HOST, () => server.close(() => done(true)));
  });
}

function textOf(config: Json): string {
  return `${JSON.stringify(config, undefined, 2)}\n`;
}
