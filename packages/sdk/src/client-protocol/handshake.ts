// What a client and a node tell each other first, and what a node tells of the cluster. All of it is JSON: it is rare,
// and a later version may add to it.

import { protocolViolated } from './frame.js';

/** The version of the protocol that this code speaks. */
export const CLIENT_PROTOCOL_VERSION = 1;

/** The first frame of a client. */
export interface ClientHello {
  readonly protocol: number;
  /** Name and version of the client, for the operator. */
  readonly client: string;
  /** The cluster that the client wants; any, when it is left out. */
  readonly clusterId?: string;
  readonly token?: string;
}

/** A Raft group as a node sees it. */
export interface GroupTopology {
  readonly id: string;
  /** Higher terms are newer. */
  readonly term: number;
  readonly leader?: string;
}

/** Who leads what, and where the nodes are. Keys are mapped to the groups by `HashRing` over their ids. */
export interface ClusterTopology {
  readonly groups: readonly GroupTopology[];
  /** `host:port` of the client port of each node that is known to have one, by node id. */
  readonly clients: Readonly<Record<string, string>>;
}

/** The node's answer to a hello. */
export interface ServerWelcome {
  readonly protocol: number;
  readonly nodeId: string;
  readonly clusterId: string;
  /** Longest body of a frame that the node takes. */
  readonly maxFrameBytes: number;
  /** Requests without an answer that one connection may have; more are refused. */
  readonly maxInFlight: number;
  /** Longest value. */
  readonly maxValueBytes: number;
  /** A connection that is silent for longer is closed: ping before. */
  readonly idleMs: number;
  readonly topology: ClusterTopology;
}

/** Why a node ends a connection. */
export interface Goodbye {
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
  readonly retryAfterMs?: number;
}

type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(content: Buffer, what: string): Fields {
  let value: unknown;
  try {
    value = JSON.parse(content.toString('utf8'));
  } catch {
    throw protocolViolated(`${what} is not JSON`);
  }
  if (typeof value !== 'object' || value === null) throw protocolViolated(`${what} is no object`);
  return value as Fields;
}

function text(value: unknown, what: string, max: number): string {
  if (typeof value !== 'string' || value.length > max)
    throw protocolViolated(`${what} is no text up to ${max}`);
  return value;
}

function whole(value: unknown, what: string): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw protocolViolated(`${what} is no whole number`);
  }
  return value;
}

/** Checks a hello. @throws DwError `client-protocol-violated`. */
export function readHello(content: Buffer): ClientHello {
  const { protocol, client, clusterId, token } = fieldsOf(content, 'the hello');
  return {
    protocol: whole(protocol, 'the protocol version'),
    client: text(client, 'the name of the client', 128),
    ...(clusterId === undefined ? {} : { clusterId: text(clusterId, 'the cluster id', 128) }),
    ...(token === undefined ? {} : { token: text(token, 'the token', 1_024) }),
  };
}

/** Checks a description of the cluster. @throws DwError `client-protocol-violated`. */
export function readTopology(content: Buffer): ClusterTopology {
  return topologyOf(fieldsOf(content, 'the topology'));
}

function topologyOf({ groups, clients }: Fields): ClusterTopology {
  if (!Array.isArray(groups) || groups.length > 65_535)
    throw protocolViolated('the topology names no groups');
  if (typeof clients !== 'object' || clients === null) throw protocolViolated('the topology names no nodes');
  return {
    groups: groups.map((group: unknown) => {
      const { id, term, leader } = (group ?? {}) as Fields;
      return {
        id: text(id, 'a group', 256),
        term: whole(term, 'a term'),
        ...(leader === undefined ? {} : { leader: text(leader, 'a leader', 256) }),
      };
    }),
    clients: Object.fromEntries(
      Object.entries(clients as Fields).map(([id, address]) => [id, text(address, 'an address', 512)]),
    ),
  };
}

/** Checks a welcome. @throws DwError `client-protocol-violated`. */
export function readWelcome(content: Buffer): ServerWelcome {
  const fields = fieldsOf(content, 'the welcome');
  const { topology } = fields;
  if (typeof topology !== 'object' || topology === null)
    throw protocolViolated('the welcome has no topology');
  return {
    protocol: whole(fields['protocol'], 'the protocol version'),
    nodeId: text(fields['nodeId'], 'the node id', 256),
    clusterId: text(fields['clusterId'], 'the cluster id', 256),
    maxFrameBytes: whole(fields['maxFrameBytes'], 'the frame size'),
    maxInFlight: whole(fields['maxInFlight'], 'the number of requests'),
    maxValueBytes: whole(fields['maxValueBytes'], 'the value size'),
    idleMs: whole(fields['idleMs'], 'the idle time'),
    topology: topologyOf(topology as Fields),
  };
}

/** Checks a goodbye. @throws DwError `client-protocol-violated`. */
export function readGoodbye(content: Buffer): Goodbye {
  const { code, message, retryable, retryAfterMs } = fieldsOf(content, 'the goodbye');
  return {
    code: text(code, 'the code', 128),
    message: text(message, 'the message', 4_096),
    retryable: retryable === true,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs: whole(retryAfterMs, 'the time to wait') }),
  };
}
