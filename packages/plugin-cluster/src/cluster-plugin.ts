// The plugin: gives the node its peer transport and its view of the cluster.

import { randomUUID } from 'node:crypto';
import {
  CLUSTER_DIRECTORY,
  InfrastructurePluginBase,
  MembershipChanged,
  PEER_TRANSPORT,
  SdkCompatibility,
} from '@datawarehouse/sdk';
import type { ClusterChange, HealthCheckResult, PluginContext } from '@datawarehouse/sdk';
import { ClusterDirectory } from './directory/cluster-directory.js';
import { clusterRoute } from './directory/cluster-route.js';
import type { NodeIdentity } from './handshake/hello.js';
import { TcpPeerTransport } from './tcp-peer-transport.js';
import { readTlsMaterial } from './tls-material.js';
import { TransportSubsystem } from './transport-subsystem.js';

/** How long a leaving node tries to write what is queued. */
const LEAVE_MS = 1_000;
const DEFAULT_UNREACHABLE_AFTER_MS = 10_000;

/** Peer transport over TCP, and the directory of the cluster's members. */
@SdkCompatibility('1.0.0')
export class ClusterPlugin extends InfrastructurePluginBase {
  readonly id = 'com.datawarehouse.cluster';
  readonly name = 'Cluster';
  readonly version = '0.1.0';
  readonly infrastructureDomain = 'Network';
  private transport: TcpPeerTransport | undefined;

  override async initializeAsync(context: PluginContext): Promise<void> {
    const { node, log, clock } = context;
    const identity: NodeIdentity = {
      clusterId: node.clusterId,
      nodeId: node.nodeId,
      incarnation: randomUUID(),
      http: node.httpUrl,
      version: node.version,
      pid: process.pid,
    };
    const { host, port, tls } = node.peer;
    const transport = new TcpPeerTransport({
      identity,
      listen: { host, port },
      peers: node.peers,
      log,
      clock,
      ...(tls === undefined ? {} : { tls: await readTlsMaterial(tls) }),
    });
    this.transport = transport;
    // Also when a later step of the start fails: nothing of the transport may outlive the plugin.
    context.onDispose(() => transport.close());
    const unreachableAfterMs = context.config['unreachableAfterMs'];
    const directory = new ClusterDirectory({
      local: identity,
      peers: node.peers,
      localAddress: node.peers[node.nodeId] ?? `${host}:${port}`,
      clock,
      unreachableAfterMs:
        typeof unreachableAfterMs === 'number' ? unreachableAfterMs : DEFAULT_UNREACHABLE_AFTER_MS,
      transport,
      log,
    });
    directory.onChanged((change) => announce(context, change));
    transport.onContact({
      onConnected: (peer) => directory.connected(peer),
      onDisconnected: (peer) => directory.disconnected(peer),
      onGoodbye: (peer, incarnation) => directory.goodbye(peer, incarnation),
    });
    context.services.provide(PEER_TRANSPORT, transport);
    context.services.provide(CLUSTER_DIRECTORY, directory);
    context.routes.add(clusterRoute(directory));
    await context.scaling.register(new TransportSubsystem(transport));
  }

  override async activateAsync(): Promise<void> {
    await this.transport?.start();
  }

  override async drainAsync(): Promise<void> {
    await this.transport?.leave(LEAVE_MS);
  }

  override async shutdownAsync(): Promise<void> {
    await this.transport?.close();
  }

  override checkHealthAsync(): HealthCheckResult {
    const peers = this.transport?.peers() ?? [];
    const missing = peers.filter((peer) => peer.state === 'disconnected').map((peer) => peer.id);
    if (missing.length === 0) return { status: 'healthy' };
    return { status: 'degraded', message: `not connected to ${missing.join(', ')}`, data: { missing } };
  }
}

function announce(context: PluginContext, change: ClusterChange): void {
  context.log.info({ peer: change.nodeId, action: change.action }, 'cluster membership changed');
  context.bus.publish(MembershipChanged, change);
}
