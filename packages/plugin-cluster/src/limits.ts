// The limits of the subsystem `peer-transport`, and what each bounds. Every number is argued in its description.

import { LimitSet } from '@datawarehouse/sdk';
import type { LimitDescriptors, TransportLane } from '@datawarehouse/sdk';
import type { LivenessBounds } from './connection/liveness.js';
import { MAX_SLOTS } from './handshake/hello.js';

const KIBIBYTE = 1024;
const MEBIBYTE = 1024 * KIBIBYTE;

/** Name of the subsystem. */
export const SUBSYSTEM = 'peer-transport';

/** The descriptors, as they also stand in the manifest. */
export const TRANSPORT_LIMITS = {
  maxConnectionsPerPeer: {
    unit: 'connections',
    min: 2,
    max: MAX_SLOTS,
    default: 4,
    description:
      'Connections that this node opens to one peer: one for the control lane, the others for bulk on demand',
  },
  maxFrameBytes: {
    unit: 'bytes',
    min: 64 * KIBIBYTE,
    max: 256 * MEBIBYTE,
    default: 8 * MEBIBYTE,
    description:
      'Payload of one frame in the control lane; larger ones are refused. A peer learns it when it connects',
  },
  maxBulkFrameBytes: {
    unit: 'bytes',
    min: 64 * KIBIBYTE,
    max: 256 * MEBIBYTE,
    default: 8 * MEBIBYTE,
    description:
      'Payload of one frame in the bulk lane; larger ones are refused. A peer learns it when it connects',
  },
  maxLaneQueueBytes: {
    unit: 'bytes',
    min: 64 * KIBIBYTE,
    max: 1024 * MEBIBYTE,
    default: 16 * MEBIBYTE,
    description: 'Bytes that wait in one lane to one peer; more are refused until half of them have gone',
  },
  heartbeatIntervalMs: {
    unit: 'ms',
    min: 20,
    max: 60_000,
    default: 500,
    description: 'Time between the pings on each connection, which also measure the round-trip time',
  },
  heartbeatTimeoutMs: {
    unit: 'ms',
    min: 40,
    max: 600_000,
    default: 2_000,
    description: 'A peer that was silent for this long, counted in heartbeats, is disconnected',
  },
  handshakeTimeoutMs: {
    unit: 'ms',
    min: 100,
    max: 60_000,
    default: 3_000,
    description: 'Time a new connection has for connecting, TLS and the handshake together',
  },
  idleConnectionTimeoutMs: {
    unit: 'ms',
    min: 1_000,
    max: 86_400_000,
    default: 300_000,
    description: 'A bulk connection that was not used for this long is closed',
  },
  writeStallTimeoutMs: {
    unit: 'ms',
    min: 100,
    max: 600_000,
    default: 10_000,
    description: 'A connection whose peer takes no byte, or completes no frame, for this long is cut',
  },
  maxPendingHandshakes: {
    unit: 'connections',
    min: 1,
    max: 10_000,
    default: 64,
    description: 'Incoming connections that have not said who they are; more are cut at once',
  },
  maxConcurrentOperations: {
    unit: 'requests',
    min: 1,
    max: 1_000_000,
    default: 4_096,
    description:
      'Requests under way to one peer in one lane, and requests of one peer that are handled; more are refused',
  },
  maxQueueDepth: {
    unit: 'messages',
    min: 1,
    max: 10_000_000,
    default: 16_384,
    description: 'Messages that wait in one lane to one peer; more are refused',
  },
} as const satisfies LimitDescriptors;

/** The limits of a transport with so many peers: as many connection pools must fit into their cache. */
export function transportLimits(peerCount: number): LimitSet {
  const maxCacheEntries = {
    unit: 'pools',
    min: Math.max(1, peerCount),
    max: 100_000,
    default: Math.max(10_000, peerCount),
    description: 'Connection pools that are kept, one for each peer; never less than the configured peers',
  };
  return new LimitSet({ ...TRANSPORT_LIMITS, maxCacheEntries }, SUBSYSTEM);
}

/** Values of all limits by name. */
export type TransportSettings = Readonly<
  Record<keyof typeof TRANSPORT_LIMITS | 'maxCacheEntries' | 'maxMemoryBytes', number>
>;

/** The limits in force. Cheap enough for hot paths. */
export function settingsOf(limits: LimitSet): TransportSettings {
  return limits.current as unknown as TransportSettings;
}

/** Largest payload that this node takes in a lane. */
export function maxPayloadOf(settings: TransportSettings, lane: TransportLane): number {
  return lane === 'control' ? settings.maxFrameBytes : settings.maxBulkFrameBytes;
}

/** After how many heartbeats without progress a connection is cut. Never by one alone: it may just have been late. */
export function livenessBounds(settings: TransportSettings): LivenessBounds {
  const looks = (milliseconds: number): number =>
    Math.max(2, Math.ceil(milliseconds / settings.heartbeatIntervalMs));
  const stalled = looks(settings.writeStallTimeoutMs);
  return { silent: looks(settings.heartbeatTimeoutMs), writeStalled: stalled, frameStalled: stalled };
}
