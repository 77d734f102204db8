// What two processes tell each other first. A hello comes from anyone who can reach the port, so that every field is
// checked here, by hand and within bounds, before anything else looks at it.

import type { TransportLane } from '@datawarehouse/sdk';

/** Bytes of a hello at most; nothing larger is accepted before the handshake is over. */
export const MAX_HELLO_BYTES = 4_096;
/** Connections that one peer can have to this node: numbers of slots are below it. */
export const MAX_SLOTS = 16;

/** Who a process is. */
export interface NodeIdentity {
  readonly clusterId: string;
  readonly nodeId: string;
  /** Chosen at random when the process starts, so that a restarted node is told from its former self. */
  readonly incarnation: string;
  /** `http://host:port` of its API. */
  readonly http: string;
  /** Version of its host. */
  readonly version: string;
  readonly pid: number;
}

/** The first frame of who dials, and the answer to it. */
export interface Hello extends NodeIdentity {
  /** Whom the sender believes to talk to. */
  readonly target: string;
  readonly lane: TransportLane;
  /** Which connection of the sender's pool this is; 0 carries the control lane. */
  readonly slot: number;
  /** Largest payload in bytes that the sender takes on this connection. */
  readonly maxPayload: number;
}

/** Encodes a hello. */
export function encodeHello(hello: Hello): Buffer {
  return Buffer.from(JSON.stringify(hello));
}

/** Decodes and checks a hello; undefined when it is not one. Never throws. */
export function decodeHello(payload: Buffer): Hello | undefined {
  if (payload.length > MAX_HELLO_BYTES) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(payload.toString('utf8'));
  } catch {
    return undefined; // Not JSON: not a hello. The caller counts it.
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const fields = value as Readonly<Record<string, unknown>>;
  const { clusterId, nodeId, incarnation, http, version, pid, target, lane, slot, maxPayload } = fields;
  if (!isText(clusterId, 128) || !isText(nodeId, 128) || !isText(incarnation, 64)) return undefined;
  if (!isText(http, 512) || !isText(version, 64) || !isText(target, 128)) return undefined;
  if (lane !== 'control' && lane !== 'bulk') return undefined;
  if (!isWhole(pid, 0x7fff_ffff) || !isWhole(slot, MAX_SLOTS - 1) || !isWhole(maxPayload, 0xffff_ffff)) {
    return undefined;
  }
  if ((slot === 0) !== (lane === 'control')) return undefined;
  return { clusterId, nodeId, incarnation, http, version, pid, target, lane, slot, maxPayload };
}

function isText(value: unknown, maxLength: number): value is string {
  if (typeof value !== 'string' || value.length === 0 || value.length > maxLength) return false;
  // Control characters would let a stranger write lines of its own into the log.
  for (let i = 0; i < value.length; i++)
    if (value.charCodeAt(i) < 0x20 || value.charCodeAt(i) === 0x7f) return false;
  return true;
}

function isWhole(value: unknown, max: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max;
}
