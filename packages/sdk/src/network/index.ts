export { PEER_TRANSPORT } from './peer-transport.js';
export { CLUSTER_DIRECTORY } from './cluster-membership.js';
export type {
  ChannelHandler,
  IPeerTransport,
  PeerRequestOptions,
  PeerState,
  PeerStatus,
  RttStatistics,
  TransportLane,
} from './peer-transport.js';
export type { ClusterNode, ClusterNodeState, IClusterDirectory } from './cluster-membership.js';
