// The door of the cluster plugin.

export { ClusterPlugin, ClusterPlugin as plugin } from './cluster-plugin.js';
export { ClusterDirectory } from './directory/cluster-directory.js';
export type { ClusterDirectoryOptions } from './directory/cluster-directory.js';
export { TcpPeerTransport } from './tcp-peer-transport.js';
export type { PeerContact, TcpPeerTransportOptions } from './tcp-peer-transport.js';
export { readTlsMaterial } from './tls-material.js';
export type { TlsMaterial } from './tls-material.js';
export type { NodeIdentity } from './handshake/hello.js';
export { TransportSubsystem } from './transport-subsystem.js';
