// Takes `host:port` apart.

import type { Endpoint } from '@datawarehouse/sdk';
import { peerAddressInvalid } from './errors.js';

const ADDRESS = /^(?:\[([0-9A-Fa-f:.%]+)\]|([^:[\]\s]+)):(\d{1,5})$/;

/** @throws DwError `peer-address-invalid` unless it is `host:port`, or `[address]:port` for IPv6. */
export function parsePeerAddress(peer: string, address: string): Endpoint {
  const match = ADDRESS.exec(address);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || !(port >= 1 && port <= 65_535)) throw peerAddressInvalid(peer, address);
  return { host, port };
}
