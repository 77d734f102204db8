export { PEER_TRANSPORT } from './peer-transport.js';
export { CLUSTER_DIRECTORY, MAX_CLUSTER_NODES } from './cluster-membership.js';
export type {
  ChannelHandler,
  IPeerTransport,
  PeerRequestOptions,
  PeerState,
  PeerStatus,
  RttStatistics,
  TransportLane,
} from './peer-transport.js';
export type {
  ClusterChange,
  ClusterMember,
  ClusterNode,
  ClusterNodeState,
  IClusterDirectory,
} from './cluster-membership.js';
