// How clients reach the groups of this node, in one part that the plugin starts and stops: the port, what is behind it,
// and where the other nodes have theirs.

import type { Clock, IPeerTransport, Logger, NodeInfo } from '@datawarehouse/sdk';
import type { MultiRaftEngine } from '../engine/multi-raft-engine.js';
import { draining } from '../errors.js';
import type { GroupRouter } from '../groups/group-router.js';
import { ClientAddresses, advertisedAddress } from './client-addresses.js';
import { ClientPort } from './client-port.js';
import type { BackendLimits } from './engine-backend.js';
import { EngineBackend } from './engine-backend.js';

/** What clients' access stands on. */
export interface ClientAccessOptions {
  readonly node: NodeInfo;
  readonly transport: IPeerTransport;
  readonly clock: Clock;
  readonly log: Logger;
  readonly engine: MultiRaftEngine;
  readonly router: GroupRouter;
  /** The groups that hold keys, as they are now. */
  readonly groupIds: () => readonly string[];
  readonly groupOf: (key: string) => string;
  readonly limits: () => BackendLimits;
}

/** The client port of a node, if its configuration has one. */
export class ClientAccess {
  private port: ClientPort | undefined;
  private addresses: ClientAddresses | undefined;

  constructor(private readonly options: ClientAccessOptions) {}

  /** Counters for operators; undefined without a port. */
  get counters(): ClientPort['counters'] | undefined {
    return this.port?.counters;
  }

  /** Opens the port. @throws DwError `client-listen-failed`, `client-tls-unusable`. */
  async start(): Promise<void> {
    const { node, transport, clock, log, engine, router, groupIds, groupOf, limits } = this.options;
    const endpoint = node.client;
    if (endpoint === undefined) return;
    const port = new ClientPort({
      endpoint,
      clusterId: node.clusterId,
      backend: new EngineBackend(engine, router, clock, groupIds, groupOf, limits),
      clock,
      log,
      addresses: () => this.addresses?.all() ?? {},
    });
    this.port = port;
    const bound = await port.listen();
    const own = advertisedAddress(endpoint.host, bound, node.peers[node.nodeId]);
    this.addresses = new ClientAddresses(transport, own, log, () => port.topologyChanged());
    port.topologyChanged();
    log.info({ client: own }, `clients connect to ${own}`);
  }

  /** Another leader, or none: the clients are told. */
  leaderChanged(): void {
    this.port?.topologyChanged();
  }

  /** Closes the port and every connection. Safe to call again. */
  async stop(): Promise<void> {
    this.addresses?.stop();
    await this.port?.stop(draining());
  }
}
