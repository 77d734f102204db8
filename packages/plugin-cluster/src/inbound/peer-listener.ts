// Listens for peers. Whoever connects has one deadline for TLS and the handshake together, may send no more than a
// hello, and counts against a bound of its own until then, so that strangers cannot crowd peers out of memory.

import type { Endpoint, TimerHandle } from '@datawarehouse/sdk';
import type { Server, Socket } from 'node:net';
import { createServer as createTcpServer } from 'node:net';
import type { Server as TlsServer, TLSSocket } from 'node:tls';
import { createServer as createTlsServer } from 'node:tls';
import { isRejectReason } from '../connection/close-reason.js';
import { Connection } from '../connection/connection.js';
import { listenFailed } from '../errors.js';
import { certificateNames } from '../handshake/check-hello.js';
import { acceptHandshake } from '../handshake/handshake.js';
import type { Hello } from '../handshake/hello.js';
import { MAX_HELLO_BYTES } from '../handshake/hello.js';
import { maxPayloadOf } from '../limits.js';
import type { TransportEnvironment } from '../transport-environment.js';
import { replyBudget, settings } from '../transport-environment.js';
import type { InboundPeers } from './inbound-peers.js';

const KEEP_ALIVE_MS = 10_000;

/** A socket whose handshake is not over. */
interface Stranger {
  readonly socket: Socket;
  /** Gives up on it. */
  readonly deadline: TimerHandle;
  /** What it does is counted already, or will be by its connection. Until then its end means that TLS failed. */
  counted: boolean;
}

/** Accepts connections and hands those of peers to {@link InboundPeers}. */
export class PeerListener {
  private readonly server: Server;
  private readonly tlsServer: TlsServer | undefined;
  /** By remote address and port. */
  private readonly strangers = new Map<string, Stranger>();

  constructor(
    private readonly environment: TransportEnvironment,
    private readonly peers: InboundPeers,
  ) {
    this.server = createTcpServer(
      { noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS },
      (socket) => this.admit(socket),
    );
    const { tls } = environment;
    if (tls === undefined) return;
    this.tlsServer = createTlsServer({ ...tls, requestCert: true, rejectUnauthorized: true }, (socket) =>
      this.greet(socket),
    );
    // Counted when its socket closes: a certificate that is refused comes here as well, and so does whom we cut off.
    this.tlsServer.on('tlsClientError', (_error, socket) => socket.destroy());
  }

  /** Connections that have not said who they are. */
  get pending(): number {
    return this.strangers.size;
  }

  /**
   * Starts to listen. Port 0 takes any free port.
   * @returns the port.
   * @throws DwError `peer-listen-failed`.
   */
  listen({ host, port }: Endpoint): Promise<number> {
    return new Promise((resolve, reject) => {
      const onError = (error: Error): void => reject(listenFailed(host, port, error));
      this.server.once('error', onError);
      this.server.listen(port, host, () => {
        this.server.off('error', onError);
        // Such as running out of file descriptors in accept: the listener itself goes on.
        this.server.on('error', (err) => this.environment.log.error({ err }, 'peer listener failed'));
        const address = this.server.address();
        resolve(typeof address === 'object' && address !== null ? address.port : port);
      });
    });
  }

  /** Stops accepting and cuts off who has not finished the handshake. Connections of peers stay. */
  stop(): void {
    if (this.server.listening) this.server.close();
    for (const { socket, deadline } of this.strangers.values()) {
      deadline.cancel();
      socket.destroy();
    }
    this.strangers.clear();
  }

  private admit(socket: Socket): void {
    const { rejections, clock } = this.environment;
    const { maxPendingHandshakes, handshakeTimeoutMs } = settings(this.environment);
    const remote = remoteOf(socket);
    // Errors of a stranger's socket end in its 'close'; without a listener they would end the process.
    socket.on('error', () => {});
    if (this.strangers.size >= maxPendingHandshakes) {
      rejections.add('too-many-handshakes', remote);
      socket.destroy();
      return;
    }
    const deadline = clock.setTimeout(() => {
      stranger.counted = true;
      rejections.add('handshake-timeout', remote);
      socket.destroy();
    }, handshakeTimeoutMs);
    const stranger: Stranger = { socket, deadline, counted: false };
    this.strangers.set(remote, stranger);
    socket.once('close', () => {
      if (this.strangers.get(remote) !== stranger) return;
      if (!stranger.counted) rejections.add('tls-failed', remote);
      this.settled(remote);
    });
    if (this.tlsServer === undefined) this.greet(socket);
    else this.tlsServer.emit('connection', socket);
  }

  private greet(socket: Socket): void {
    const { environment, peers } = this;
    const { clock, traffic, rules, rejections, tls } = environment;
    const remote = remoteOf(socket);
    const stranger = this.strangers.get(remote);
    if (stranger !== undefined) stranger.counted = true;
    const budget = replyBudget(environment);
    const connection = new Connection({ socket, clock, traffic, budget, maxPayload: MAX_HELLO_BYTES });
    let peer: Hello | undefined;
    acceptHandshake({
      connection,
      rules,
      maxPayload: (hello) => maxPayloadOf(settings(environment), hello.lane),
      certificate: () =>
        tls === undefined ? undefined : certificateNames((socket as TLSSocket).getPeerCertificate()),
      onEstablished: (hello) => {
        this.settled(remote);
        peer = hello;
        peers.add(connection, budget, hello);
      },
    });
    connection.onClosed = (reason, cause) => {
      if (isRejectReason(reason)) rejections.add(reason, peer?.nodeId ?? remote);
      environment.log.debug({ remote, peer: peer?.nodeId, reason, err: cause }, 'incoming connection closed');
      if (peer !== undefined) peers.removed(connection, peer);
      // Counted by what it did; the connection sees to it that the socket goes, at once or after a last word.
      else this.strangers.get(remote)?.deadline.cancel();
    };
  }

  /** The handshake is over, one way or the other. */
  private settled(remote: string): void {
    this.strangers.get(remote)?.deadline.cancel();
    this.strangers.delete(remote);
  }
}

function remoteOf(socket: Socket): string {
  return `${socket.remoteAddress ?? 'unknown'}:${socket.remotePort ?? 0}`;
}
