// The configuration of one node: what the file may say, checked, with every default filled in.

import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { SchemaChecker } from '../schema/schema-checker.js';
import { configInvalid, configNotJson, configUnreadable } from './errors.js';
import { refuseExposure } from './exposure.js';
import { ID_PATTERN, NodeConfigSchema } from './node-config-schema.js';

/** TLS files of the HTTP listener, absolute paths of PEM files. `ca` completes the chain that clients are shown. */
export interface HttpTlsFiles {
  readonly cert: string;
  readonly key: string;
  readonly ca?: string;
}

/** TLS files of the peer listener, absolute paths of PEM files. Peers show each other certificates of `ca`. */
export interface PeerTlsFiles {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

/** One plugin of the configuration. */
export interface PluginEntry {
  /** Package name, or a path (relative to the configuration file) of a directory that holds a manifest. */
  readonly package: string;
  readonly config?: Readonly<Record<string, unknown>>;
  /** When it fails, the host fails. Default false. */
  readonly required?: boolean;
  /** Default true. */
  readonly enabled?: boolean;
}

/** Deadlines of the steps of a plugin's life, in milliseconds. */
export interface KernelTimeouts {
  readonly loadMs: number;
  readonly initializeMs: number;
  readonly activateMs: number;
  readonly drainMs: number;
  readonly shutdownMs: number;
  readonly disposeMs: number;
  readonly healthMs: number;
  readonly healthEveryMs: number;
}

/** The checked configuration of a node. */
export interface NodeConfig {
  readonly nodeId: string;
  /** Nodes with another cluster id are not talked to. */
  readonly clusterId: string;
  /** Absolute path. */
  readonly dataDir: string;
  /** Directory of the configuration file, from which packages are resolved. */
  readonly baseDir: string;
  readonly http: {
    readonly host: string;
    readonly port: number;
    readonly tls?: HttpTlsFiles;
    readonly token?: string;
  };
  readonly peer: { readonly host: string; readonly port: number; readonly tls?: PeerTlsFiles };
  /** The listener of the framed client protocol, under the token and TLS files of `http`. */
  readonly client: { readonly host: string; readonly port: number };
  /** `host:port` of the peer listener of every node by node id, this one included. */
  readonly peers: Readonly<Record<string, string>>;
  /** Whether the node joins a running cluster, and learns from it what `peers` leaves out. */
  readonly joins: boolean;
  /** Undefined: all plugins that ship. */
  readonly plugins: readonly PluginEntry[] | undefined;
  /** Plugins beside those of `plugins`, or beside all that ship. */
  readonly extraPlugins: readonly PluginEntry[];
  readonly log: { readonly level: string; readonly pretty?: boolean };
  readonly kernel: KernelTimeouts;
  /** Whether listening beyond loopback without token and TLS is accepted. */
  readonly insecure: boolean;
}

type ConfigFile = Omit<NodeConfig, 'baseDir' | 'client' | 'peers' | 'plugins' | 'extraPlugins'> & {
  readonly client?: { readonly host?: string; readonly port?: number };
  readonly peers?: Readonly<Record<string, string>>;
  readonly plugins?: readonly PluginEntry[];
  readonly extraPlugins?: readonly PluginEntry[];
};

/** How a configuration without a file resolves its relative paths. */
export interface ParseOptions {
  /** Shown in messages. */
  readonly where: string;
  /** Absolute path. */
  readonly baseDir: string;
}

const checker = new SchemaChecker({ root: 'the configuration' });

const ENDPOINT = /^(\[[0-9A-Fa-f:.]+\]|[^:[\]/\s]+):(\d{1,5})$/;

function endpointIssue(id: string, endpoint: string): string | undefined {
  const match = ENDPOINT.exec(endpoint);
  const port = Number(match?.[2]);
  if (match !== null && port >= 1 && port <= 65_535) return undefined;
  return `"peers.${id}" must be host:port with a port of 1 to 65535, not "${endpoint}"`;
}

function peerIssues(config: ConfigFile, peers: Readonly<Record<string, string>>): string[] {
  const issues: string[] = [];
  const id = new RegExp(ID_PATTERN);
  for (const [peerId, endpoint] of Object.entries(peers)) {
    if (!id.test(peerId)) {
      issues.push(
        `"peers" names a node "${peerId.slice(0, 80)}": ids are 1 to 64 letters, digits, "_" or "-"`,
      );
    }
    const issue = endpointIssue(peerId, endpoint);
    if (issue !== undefined) issues.push(issue);
  }
  if (!Object.hasOwn(peers, config.nodeId)) {
    const known = Object.keys(peers).join(', ');
    issues.push(
      `"peers" must name this node, ${config.nodeId}, too; it names ${known === '' ? 'none' : known}`,
    );
  }
  const endpoints = Object.values(peers);
  const repeated = endpoints.find((endpoint, index) => endpoints.indexOf(endpoint) !== index);
  if (repeated !== undefined)
    issues.push(`"peers" has ${repeated} twice: each node needs an address of its own`);
  return issues;
}

/** Clients connect this much above HTTP unless the configuration says otherwise. */
const CLIENT_PORT_STEP = 200;

/** Where the client port is. With HTTP on a port that the system chooses, so is this one. */
function clientOf({ client, http }: ConfigFile): NodeConfig['client'] {
  const port = http.port === 0 ? 0 : http.port + CLIENT_PORT_STEP;
  return { host: client?.host ?? http.host, port: client?.port ?? port };
}

function portIssues(config: ConfigFile): string[] {
  const used = new Map<string, string>();
  const issues: string[] = [];
  const client = clientOf(config);
  const listeners = { http: config.http, peer: config.peer, client };
  if (client.port > 65_535) {
    issues.push(`"client.port" is missing: "http.port" leaves no room for its default, ${client.port}`);
  }
  for (const [name, { host, port }] of Object.entries(listeners)) {
    const other = used.get(`${host}:${port}`);
    if (port !== 0 && other !== undefined) {
      issues.push(`"${name}.port" and "${other}.port" are both ${port} on ${host}`);
    }
    used.set(`${host}:${port}`, name);
  }
  return issues;
}

/**
 * Checks a configuration and fills in defaults. A relative `dataDir` is relative to the working directory; TLS files
 * and packages are relative to the configuration file.
 * @throws DwError `config-invalid`, `config-exposed`.
 */
export function parseNodeConfig(value: unknown, options: ParseOptions): NodeConfig {
  const checked = checker.check<ConfigFile>(NodeConfigSchema, value);
  if (!checked.ok) throw configInvalid(options.where, checked.issues);
  const config = checked.value;
  const ownPeer = config.peer.host.includes(':')
    ? `[${config.peer.host}]:${config.peer.port}`
    : `${config.peer.host}:${config.peer.port}`;
  const peers = config.peers ?? { [config.nodeId]: ownPeer };
  // Left out, "peers" is this node alone; then its own port may be 0, which nobody else has to dial.
  const issues = [...(config.peers === undefined ? [] : peerIssues(config, peers)), ...portIssues(config)];
  if (issues.length > 0) throw configInvalid(options.where, issues);
  const absolute = (file: string): string => resolve(options.baseDir, file);
  const { tls: httpTls, ...http } = config.http;
  const { tls: peerTls, ...peer } = config.peer;
  const result: NodeConfig = {
    ...config,
    client: clientOf(config),
    peers,
    plugins: config.plugins,
    extraPlugins: config.extraPlugins ?? [],
    dataDir: resolve(config.dataDir),
    baseDir: options.baseDir,
    http: {
      ...http,
      ...(httpTls && {
        tls: {
          cert: absolute(httpTls.cert),
          key: absolute(httpTls.key),
          ...(httpTls.ca !== undefined && { ca: absolute(httpTls.ca) }),
        },
      }),
    },
    peer: {
      ...peer,
      ...(peerTls && {
        tls: { cert: absolute(peerTls.cert), key: absolute(peerTls.key), ca: absolute(peerTls.ca) },
      }),
    },
  };
  refuseExposure(result);
  return result;
}

/**
 * Reads and checks a configuration file.
 * @throws DwError `config-unreadable`, `config-not-json`, `config-invalid`, `config-exposed`.
 */
export async function loadNodeConfig(file: string): Promise<NodeConfig> {
  const path = resolve(file);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (thrown) {
    throw configUnreadable(file, thrown as NodeJS.ErrnoException);
  }
  let value: unknown;
  try {
    value = JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (thrown) {
    throw configNotJson(file, thrown);
  }
  return parseNodeConfig(value, { where: file, baseDir: dirname(path) });
}
