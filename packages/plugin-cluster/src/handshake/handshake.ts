// The first exchange on a connection: who dials says hello, the other answers welcome or refuses. Nothing else is
// taken before, nothing larger than a hello, and no longer than the deadline, however slowly the bytes drip.

import type { Clock } from '@datawarehouse/sdk';
import type { RejectReason } from '../connection/close-reason.js';
import type { Connection } from '../connection/connection.js';
import { FrameType } from '../wire/frame.js';
import type { CertificateNames, HelloRules } from './check-hello.js';
import { checkAcceptor, checkDialler } from './check-hello.js';
import type { Hello } from './hello.js';
import { decodeHello, encodeHello } from './hello.js';

/** What both sides of a handshake need. */
export interface HandshakeOptions {
  readonly connection: Connection;
  readonly rules: HelloRules;
  /** The names on the other side's certificate; asked once it has spoken. */
  readonly certificate: () => CertificateNames;
  /** The handshake is over and the connection is established. Not called when it fails: the connection closes. */
  readonly onEstablished: (peer: Hello) => void;
}

/** What who was dialled decides by the hello. */
export interface AcceptOptions extends HandshakeOptions {
  /** Largest payload that we take on this connection. */
  readonly maxPayload: (hello: Hello) => number;
}

/** Waits for a hello and answers it. The deadline is the listener's, since it covers TLS as well. */
export function acceptHandshake(options: AcceptOptions): void {
  const { connection, rules } = options;
  connection.onFrame = (type, _channel, _correlation, payload) => {
    const hello = type === FrameType.hello ? decodeHello(payload) : undefined;
    const reason = type === FrameType.hello ? judged(hello, options) : 'unexpected-frame';
    if (reason !== undefined || hello === undefined) {
      const refusal = reason ?? 'malformed-hello';
      connection.writeHandshake(FrameType.refuse, Buffer.from(refusal));
      connection.end(refusal);
      return false;
    }
    const { nodeId: target, lane, slot } = hello;
    const maxPayload = options.maxPayload(hello);
    connection.writeHandshake(
      FrameType.welcome,
      encodeHello({ ...rules.local, target, lane, slot, maxPayload }),
    );
    connection.establish(maxPayload, hello.maxPayload);
    options.onEstablished(hello);
    return connection.isOpen;
  };
}

function judged(hello: Hello | undefined, options: HandshakeOptions): RejectReason | undefined {
  return hello === undefined ? 'malformed-hello' : checkDialler(hello, options.rules, options.certificate());
}

/** What who dials knows beforehand. */
export interface DialOptions extends HandshakeOptions {
  readonly hello: Hello;
  readonly clock: Clock;
  /** Milliseconds until the connection is cut. */
  readonly timeoutMs: number;
  /** The other side refused us, for this reason. */
  readonly onRefused: (reason: string) => void;
}

/** Waits for the answer to a hello; `start` says it once the socket is connected, `stop` stops the deadline. */
export function dialHandshake(options: DialOptions): {
  readonly start: () => void;
  readonly stop: () => void;
} {
  const { connection, hello, clock } = options;
  const deadline = clock.setTimeout(() => connection.close('handshake-timeout'), options.timeoutMs);
  connection.onFrame = (type, _channel, _correlation, payload) => {
    if (type === FrameType.refuse) {
      options.onRefused(payload.toString('latin1', 0, 40).replaceAll(/[^a-z-]/g, ''));
      connection.close('refused');
      return false;
    }
    const reason = type === FrameType.welcome ? undefined : 'unexpected-frame';
    const welcome = reason === undefined ? decodeHello(payload) : undefined;
    if (welcome === undefined) {
      connection.close(reason ?? 'malformed-hello');
      return false;
    }
    const expected = { nodeId: hello.target, slot: hello.slot };
    const objection = checkAcceptor(welcome, expected, options.rules, options.certificate());
    if (objection !== undefined) {
      connection.close(objection);
      return false;
    }
    deadline.cancel();
    connection.establish(hello.maxPayload, welcome.maxPayload);
    options.onEstablished(welcome);
    return connection.isOpen;
  };
  return {
    start: () => connection.writeHandshake(FrameType.hello, encodeHello(hello)),
    stop: () => deadline.cancel(),
  };
}
