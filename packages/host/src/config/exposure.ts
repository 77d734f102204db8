// Refuses listeners that strangers could reach unprotected, unless the operator has said that this is wanted.

import { isIP } from 'node:net';
import { configExposed } from './errors.js';
import type { NodeConfig } from './node-config.js';

/** Whether only this machine can reach a listener on `host`. A name other than `localhost` may be anything. */
export function isLoopback(host: string): boolean {
  const bare = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host;
  if (isIP(bare) === 4) return bare.startsWith('127.');
  if (isIP(bare) === 6) return bare === '::1' || /^::ffff:127\./i.test(bare);
  return bare.toLowerCase() === 'localhost';
}

/**
 * HTTP and the framed client protocol beyond loopback need a token and TLS (a token in clear text is anybody's), which
 * they share; peers need mutual TLS.
 * @throws DwError `config-exposed`.
 */
export function refuseExposure(config: NodeConfig): void {
  if (config.insecure) return;
  const { http, peer, client } = config;
  if (!isLoopback(http.host)) {
    if (http.token === undefined) throw configExposed('http', http.host, 'http.token');
    if (http.tls === undefined) throw configExposed('http', http.host, 'http.tls');
  }
  if (!isLoopback(peer.host) && peer.tls === undefined) throw configExposed('peer', peer.host, 'peer.tls');
  if (!isLoopback(client.host)) {
    if (http.token === undefined) throw configExposed('client', client.host, 'http.token');
    if (http.tls === undefined) throw configExposed('client', client.host, 'http.tls');
  }
}
