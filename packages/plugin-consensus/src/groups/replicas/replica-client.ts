// Asks other nodes about their replicas.

import type { IPeerTransport, TransportLane } from '@datawarehouse/sdk';
import { REPLICA_CHANNEL, decodeAnswer, encodeReplicaRequest } from './replica-messages.js';
import type { ReplicaRequest } from './replica-messages.js';

const TIMEOUT_MS = 10_000;

/** Sends requests about replicas. */
export class ReplicaClient {
  constructor(private readonly transport: IPeerTransport) {}

  /** Nodes that can be reached now. */
  connected(): readonly string[] {
    return this.transport.peers().flatMap(({ id, state }) => (state === 'connected' ? [id] : []));
  }

  /** All nodes of the cluster, this one included. */
  nodes(): ReadonlySet<string> {
    return new Set([this.transport.localId, ...this.transport.peers().map(({ id }) => id)]);
  }

  /** @throws DwError of the transport; the error that the peer answered with; `frame-malformed`. */
  async ask(
    peer: string,
    request: ReplicaRequest,
    timeoutMs = TIMEOUT_MS,
  ): Promise<Readonly<Record<string, unknown>>> {
    const bytes = encodeReplicaRequest(request);
    return decodeAnswer(
      await this.transport.request(peer, REPLICA_CHANNEL, bytes, { timeoutMs, lane: laneOf(request) }),
    );
  }
}

/**
 * A request that may empty a replica goes with Raft's own messages: what was said to the replica before must not arrive
 * after it, nor what that one acknowledged after the answer. The others may be long, and wait for nothing.
 */
function laneOf({ kind }: ReplicaRequest): TransportLane {
  return kind === 'open' ? 'control' : 'bulk';
}
