// The client port of a node: listens, accepts within bounds, and keeps every client told of who leads what.

import { readFile } from 'node:fs/promises';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createServer } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import type { ClientEndpoint, Clock, DwError, Logger, TimerHandle } from '@datawarehouse/sdk';
import type { ClusterTopology, ServerWelcome } from '@datawarehouse/sdk/client-protocol';
import { CLIENT_PROTOCOL_VERSION, jsonFrame } from '@datawarehouse/sdk/client-protocol';
import type { ClientBackend } from './client-backend.js';
import type { ConnectionHost, PortLoad } from './client-connection.js';
import { ClientConnection } from './client-connection.js';
import type { ClientPortLimits } from './client-port-limits.js';
import { CLIENT_PORT_LIMITS } from './client-port-limits.js';
import { clientIdle, clientListenFailed, clientPortOverloaded, clientTlsUnusable } from './errors.js';
import { RequestRunner } from './request-runner.js';

const SWEEP_MS = 1_000;
const MAX_LOGGED_REFUSALS = 20;
const STOP_MS = 500;

/** What a client port stands on. */
export interface ClientPortOptions {
  readonly endpoint: ClientEndpoint;
  readonly clusterId: string;
  readonly backend: ClientBackend;
  readonly clock: Clock;
  readonly log: Logger;
  /** `host:port` of the client ports that are known, by node id. */
  readonly addresses: () => ClusterTopology['clients'];
  readonly limits?: ClientPortLimits;
}

/** Listens for clients. */
export class ClientPort {
  private readonly limits: ClientPortLimits;
  private readonly connections = new Set<ClientConnection>();
  private readonly sockets = new Set<Socket>();
  private readonly load: PortLoad = { requests: 0, partialBytes: 0 };
  private readonly host: ConnectionHost;
  private server: Server | undefined;
  private sweep: TimerHandle | undefined;
  private announced = false;
  private accepted = 0;
  private readonly refusals = new Map<string, number>();

  constructor(private readonly options: ClientPortOptions) {
    const { endpoint, clusterId, backend } = options;
    this.limits = options.limits ?? CLIENT_PORT_LIMITS;
    this.host = {
      limits: this.limits,
      load: this.load,
      runner: new RequestRunner(backend),
      clusterId,
      authorize: endpoint.authorize,
      now: () => options.clock.now(),
      later: (ms, callback) => options.clock.setTimeout(callback, ms),
      welcome: () => this.welcome(),
      closed: (connection, reason) => this.closed(connection, reason),
    };
  }

  /** Counters for operators. */
  get counters() {
    return {
      connections: this.connections.size,
      accepted: this.accepted,
      requests: this.load.requests,
      partialBytes: this.load.partialBytes,
      /** Connections that were ended by this side. */
      cutOff: [...this.refusals.values()].reduce((sum, count) => sum + count, 0),
      closedByReason: Object.fromEntries(this.refusals),
    };
  }

  /** Opens the listener. @returns the port it got. @throws DwError `client-listen-failed`, `client-tls-unusable`. */
  async listen(): Promise<number> {
    const { endpoint, clock } = this.options;
    const server = await this.createServer();
    this.server = server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => reject(clientListenFailed(endpoint.host, endpoint.port, error)));
      server.listen({ host: endpoint.host, port: endpoint.port, backlog: 1_024 }, resolve);
    });
    server.on('error', (error) => this.options.log.warn({ reason: error.message }, 'the client port'));
    this.sweep = clock.setInterval(() => this.sweepIdle(), SWEEP_MS);
    return (server.address() as AddressInfo).port;
  }

  /** Tells every client of who leads what, once for all changes of a turn. */
  topologyChanged(): void {
    if (this.announced) return;
    this.announced = true;
    setImmediate(() => {
      this.announced = false;
      if (this.connections.size === 0) return;
      const frame = jsonFrame('topology', this.topology());
      for (const connection of this.connections) {
        connection.send(frame);
        connection.pump();
      }
    });
  }

  /** Accepts nothing more, tells every client why, and resolves when all connections are gone. */
  async stop(reason: DwError): Promise<void> {
    this.sweep?.cancel();
    const { server } = this;
    if (server === undefined) return;
    this.server = undefined;
    const closed = new Promise<void>((resolve) => {
      server.close(() => resolve());
    });
    for (const connection of this.connections) connection.close(reason);
    const force = setTimeout(() => {
      for (const socket of this.sockets) socket.destroy();
    }, STOP_MS);
    await closed;
    clearTimeout(force);
  }

  private async createServer(): Promise<Server> {
    const { tls } = this.options.endpoint;
    if (tls === undefined) {
      return createServer({ noDelay: true }, (socket) => {
        this.track(socket);
        this.accept(socket);
      });
    }
    try {
      const [cert, key, ca] = await Promise.all([
        readFile(tls.cert),
        readFile(tls.key),
        tls.ca === undefined ? undefined : readFile(tls.ca),
      ]);
      const options = { cert, key, ...(ca && { ca }), minVersion: 'TLSv1.2', noDelay: true } as const;
      const server = createTlsServer({ ...options, handshakeTimeout: this.limits.helloMs }, (socket) =>
        this.accept(socket),
      );
      server.on('connection', (socket) => this.track(socket));
      server.on('tlsClientError', () => this.count('client-tls-failed'));
      return server;
    } catch (error) {
      throw clientTlsUnusable(error);
    }
  }

  private track(socket: Socket): void {
    this.sockets.add(socket);
    socket.once('close', () => this.sockets.delete(socket));
    // Handshakes count too: who never finishes one holds a place until its time is up.
    if (this.sockets.size > this.limits.maxConnections * 2) socket.destroy();
  }

  private accept(socket: Socket): void {
    this.accepted++;
    const connection = new ClientConnection(socket, this.host);
    if (this.connections.size >= this.limits.maxConnections) {
      connection.close(clientPortOverloaded('connections', this.limits.maxConnections));
      return;
    }
    this.connections.add(connection);
  }

  private closed(connection: ClientConnection, reason: DwError | undefined): void {
    this.connections.delete(connection);
    if (reason === undefined) return;
    const count = this.count(reason.code);
    if (count > MAX_LOGGED_REFUSALS) return;
    this.options.log.warn({ code: reason.code }, `closed a client's connection: ${reason.message}`);
  }

  private count(code: string): number {
    const count = (this.refusals.get(code) ?? 0) + 1;
    this.refusals.set(code, count);
    return count;
  }

  private sweepIdle(): void {
    const now = this.options.clock.now();
    const { idleMs, helloMs } = this.limits;
    for (const connection of this.connections) {
      const silent = now - connection.heardAt;
      if (connection.isOpen ? silent > idleMs : silent > helloMs) connection.close(clientIdle(silent));
    }
  }

  private topology(): ClusterTopology {
    return { groups: this.options.backend.groups(), clients: this.options.addresses() };
  }

  private welcome(): ServerWelcome {
    const { backend, clusterId } = this.options;
    const { maxFrameBytes, maxInFlight, idleMs } = this.limits;
    return {
      protocol: CLIENT_PROTOCOL_VERSION,
      nodeId: backend.nodeId,
      clusterId,
      maxFrameBytes,
      maxInFlight,
      maxValueBytes: backend.maxValueBytes,
      idleMs,
      topology: this.topology(),
    };
  }
}
