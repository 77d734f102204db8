// Opens one connection to a peer, handshake included, within one deadline. What is sent on it meanwhile waits.

import type { Endpoint, TransportLane } from '@datawarehouse/sdk';
import { connect as connectTcp } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import type { CloseReason } from '../connection/close-reason.js';
import { isRejectReason } from '../connection/close-reason.js';
import { Connection } from '../connection/connection.js';
import type { QueueBudget } from '../connection/queue-budget.js';
import { certificateNames } from '../handshake/check-hello.js';
import { dialHandshake } from '../handshake/handshake.js';
import type { Hello } from '../handshake/hello.js';
import { MAX_HELLO_BYTES } from '../handshake/hello.js';
import { maxPayloadOf } from '../limits.js';
import type { TransportEnvironment } from '../transport-environment.js';
import { settings } from '../transport-environment.js';

const KEEP_ALIVE_MS = 10_000;

/** One connection to be opened. */
export interface DialRequest {
  readonly peer: string;
  readonly endpoint: Endpoint;
  readonly lane: TransportLane;
  readonly slot: number;
  readonly budget: QueueBudget;
  readonly onEstablished: (connection: Connection, welcome: Hello) => void;
  /** `why` is for people. Called once, also when the connection was never established. */
  readonly onClosed: (connection: Connection, reason: CloseReason, why: string) => void;
}

/** Starts to open a connection. It may be sent on at once. Never throws: failures end in `onClosed`. */
export function dial(environment: TransportEnvironment, request: DialRequest): Connection {
  const { clock, tls, traffic, rules } = environment;
  const { peer, endpoint, lane, slot } = request;
  const { handshakeTimeoutMs } = settings(environment);
  const socket: Socket =
    tls === undefined
      ? connectTcp({ ...endpoint, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS })
      : connectTls({
          ...tls,
          ...endpoint,
          // The name is checked in the handshake, against the node's id instead of its address.
          checkServerIdentity: () => undefined,
          rejectUnauthorized: true,
        });
  if (tls !== undefined) {
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
  }
  const maxPayload = maxPayloadOf(settings(environment), lane);
  const connection = new Connection({
    socket,
    clock,
    traffic,
    budget: request.budget,
    maxPayload: MAX_HELLO_BYTES,
  });
  let refusal = '';
  const handshake = dialHandshake({
    connection,
    clock,
    rules,
    timeoutMs: handshakeTimeoutMs,
    certificate: () =>
      tls === undefined ? undefined : certificateNames((socket as TLSSocket).getPeerCertificate()),
    hello: { ...rules.local, target: peer, lane, slot, maxPayload },
    onRefused: (reason) => {
      refusal = reason;
    },
    onEstablished: (welcome) => request.onEstablished(connection, welcome),
  });
  connection.onClosed = (reason, cause) => {
    handshake.stop();
    const judged = tls !== undefined && isTlsFailure(cause) ? 'tls-failed' : reason;
    if (isRejectReason(judged))
      environment.rejections.add(judged, `${peer} at ${endpoint.host}:${endpoint.port}`);
    request.onClosed(connection, judged, explained(judged, refusal, cause));
  };
  socket.once(tls === undefined ? 'connect' : 'secureConnect', handshake.start);
  return connection;
}

/** OpenSSL and certificate checks have codes of their own; those of the system are E and capitals. */
function isTlsFailure(cause: Error | undefined): boolean {
  const code = (cause as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' && !/^E[A-Z0-9]+$/.test(code);
}

function explained(reason: CloseReason, refusal: string, cause: Error | undefined): string {
  if (reason === 'refused') return `it refused us: ${refusal}`;
  return cause === undefined ? reason : `${reason}: ${cause.message}`;
}
