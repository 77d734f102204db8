// What the tests of this package share: transports on loopback, a log that remembers, and waiting for a condition.

import type { LogMethod, Logger } from '@datawarehouse/sdk';
import type { NodeIdentity } from './handshake/hello.js';
import type { TcpPeerTransportOptions } from './tcp-peer-transport.js';
import { TcpPeerTransport } from './tcp-peer-transport.js';

/** A line of a {@link memoryLog}. */
export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** A logger that keeps its lines. */
export function memoryLog(lines: LogLine[] = []): Logger & { readonly lines: readonly LogLine[] } {
  const method =
    (level: LogLine['level']): LogMethod =>
    (first: unknown, second?: string) => {
      if (typeof first === 'string') lines.push({ level, message: first, fields: {} });
      else lines.push({ level, message: second ?? '', fields: first as Record<string, unknown> });
    };
  return {
    lines,
    debug: method('debug'),
    info: method('info'),
    warn: method('warn'),
    error: method('error'),
    child: () => memoryLog(lines),
  };
}

/** The identity of a test node. */
export function identity(nodeId: string, overrides: Partial<NodeIdentity> = {}): NodeIdentity {
  return {
    clusterId: 'test-cluster',
    nodeId,
    incarnation: `${nodeId}-first`,
    http: `http://127.0.0.1/${nodeId}`,
    version: '1.2.3',
    pid: process.pid,
    ...overrides,
  };
}

/** Free ports of loopback for these nodes, as `host:port` by id. */
export async function freeAddresses(ids: readonly string[]): Promise<Record<string, string>> {
  const { createServer } = await import('node:net');
  const servers = ids.map(() => createServer());
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve, reject) => {
          server.once('error', reject);
          server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port));
        }),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return Object.fromEntries(ids.map((id, index) => [id, `127.0.0.1:${ports[index]}`]));
}

/** Options of a transport on loopback. */
export function transportOptions(
  nodeId: string,
  peers: Readonly<Record<string, string>>,
  overrides: Partial<TcpPeerTransportOptions> = {},
): TcpPeerTransportOptions {
  const [host = '', port = ''] = (peers[nodeId] ?? '127.0.0.1:0').split(':');
  return {
    identity: identity(nodeId),
    listen: { host, port: Number(port) },
    peers,
    log: memoryLog(),
    ...overrides,
  };
}

/** Started transports of these nodes, connected to each other. */
export async function connectedTransports(
  ids: readonly string[],
  overrides: Partial<TcpPeerTransportOptions> = {},
): Promise<TcpPeerTransport[]> {
  const peers = await freeAddresses(ids);
  const transports = ids.map((id) => new TcpPeerTransport(transportOptions(id, peers, overrides)));
  await Promise.all(transports.map((transport) => transport.start()));
  await until(() =>
    transports.every((transport) => transport.peers().every((peer) => peer.state === 'connected')),
  );
  return transports;
}

/** Resolves when the condition holds. It is asked each turn of the event loop; the test's own time-out is the bound. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) {
    await new Promise<void>((resolve) => {
      setTimeout(resolve, 1);
    });
  }
}
