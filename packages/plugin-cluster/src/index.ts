// The door of the cluster plugin.

export { TcpPeerTransport } from './tcp-peer-transport.js';
export type { PeerContact, TcpPeerTransportOptions } from './tcp-peer-transport.js';
export { readTlsMaterial } from './tls-material.js';
export type { TlsMaterial } from './tls-material.js';
export type { NodeIdentity } from './handshake/hello.js';
