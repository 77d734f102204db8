// Every error of this package, in one place. Errors that a busy node makes in great number carry no stack: taking
// one costs more than the call that is refused.

import { DwError } from '@datawarehouse/sdk';

function withoutStack(make: () => DwError): DwError {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  try {
    return make();
  } finally {
    Error.stackTraceLimit = limit;
  }
}

/** A text from outside, made short and printable for a message. */
export function shown(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}

export function peerUnknown(peer: string, known: readonly string[]): DwError {
  return new DwError({
    code: 'peer-unknown',
    status: 404,
    message: `no peer ${shown(peer)} is configured; the other nodes are ${known.join(', ') || 'none'}`,
    hint: 'let the node join with "dw start --join", or add it to "peers" in the configuration of every node',
  });
}

/** There are as many members as there can be. */
export function clusterFull(peer: string, limit: number): DwError {
  return new DwError({
    code: 'cluster-full',
    status: 503,
    message: `${shown(peer)} cannot become a member: the cluster has ${limit} nodes, which is all it can have`,
    hint: 'retire nodes that are not needed with "dw nodes retire" first',
    details: { limit },
  });
}

export function peerUnreachable(peer: string, why: string): DwError {
  return withoutStack(
    () =>
      new DwError({
        code: 'peer-unreachable',
        status: 503,
        retryable: true,
        retryAfterMs: 500,
        message: `peer ${peer} cannot be reached: ${why}; the message was not delivered`,
        hint: `check that ${peer} runs and that its peer address can be reached from here`,
      }),
  );
}

export function peerQueueFull(peer: string, what: string): DwError {
  return withoutStack(
    () =>
      new DwError({
        code: 'peer-queue-full',
        status: 503,
        retryable: true,
        retryAfterMs: 100,
        message: `peer ${peer} takes no more now: ${what}; the message was not delivered`,
        hint: 'send less at once, wait for drained(), or raise the limits of peer-transport',
      }),
  );
}

export function peerTimeout(peer: string, channel: string, timeoutMs: number): DwError {
  return withoutStack(
    () =>
      new DwError({
        code: 'peer-timeout',
        status: 504,
        message: `peer ${peer} did not answer on channel ${channel} within ${timeoutMs} ms; it may have handled the request`,
        hint: 'ask again only if the request may be handled twice',
      }),
  );
}

export function peerDisconnected(peer: string, why: string): DwError {
  return withoutStack(
    () =>
      new DwError({
        code: 'peer-disconnected',
        status: 503,
        message: `the connection to peer ${peer} was lost (${why}) before it answered; it may have handled the request`,
        hint: 'ask again only if the request may be handled twice',
      }),
  );
}

export function frameTooLarge(peer: string, bytes: number, limit: number): DwError {
  return new DwError({
    code: 'frame-too-large',
    status: 413,
    message: `a message of ${bytes} bytes to ${peer} is over the limit of ${limit} bytes for one frame`,
    hint: 'split it, or raise maxFrameBytes of peer-transport on both nodes',
    details: { bytes, limit },
  });
}

export function channelTaken(channel: string): DwError {
  return new DwError({
    code: 'channel-taken',
    message: `channel ${shown(channel)} has a handler already`,
    hint: 'choose another channel name, or dispose of the first handler before',
  });
}

export function channelInvalid(channel: string): DwError {
  return new DwError({
    code: 'channel-invalid',
    message: `${shown(channel)} is not a channel name: 1 to 64 of letters, digits, ".", "_", "-", ":" and "/"`,
    hint: 'use a name such as "raft" or "replication/wal"',
  });
}

export function channelLimit(limit: number): DwError {
  return new DwError({
    code: 'channel-limit',
    message: `more than ${limit} channels are in use on one connection`,
    hint: 'use few channels and put what varies into the payload',
  });
}

export function channelUnhandled(node: string, channel: string): DwError {
  return new DwError({
    code: 'channel-unhandled',
    status: 503,
    retryable: true,
    retryAfterMs: 500,
    message: `nobody on ${node} answers on channel ${channel}; the request was not handled`,
    hint: 'check that the plugin that serves the channel is active there',
  });
}

export function handlerFailed(node: string, channel: string, why: string): DwError {
  return new DwError({
    code: 'peer-handler-failed',
    message: `the handler of channel ${channel} on ${node} failed: ${why}`,
    hint: `see the log of ${node}`,
  });
}

export function transportClosed(): DwError {
  return withoutStack(
    () =>
      new DwError({
        code: 'transport-closed',
        status: 503,
        message: 'the peer transport of this node is closed; the message was not delivered',
        hint: 'the node is stopping; ask another node',
      }),
  );
}

export function listenFailed(host: string, port: number, cause: unknown): DwError {
  const code = (cause as { code?: unknown } | undefined)?.code;
  const why = code === 'EADDRINUSE' ? 'the port is in use' : String(code ?? cause);
  return new DwError({
    code: 'peer-listen-failed',
    message: `cannot listen for peers on ${host}:${port}: ${why}`,
    hint: 'choose another port in "peer", or stop what uses it',
    cause,
  });
}

export function peerTlsUnreadable(file: string, cause: unknown): DwError {
  return new DwError({
    code: 'peer-tls-unreadable',
    message: `cannot use TLS file ${shown(file)} of the peer listener: ${cause instanceof Error ? cause.message : String(cause)}`,
    hint: 'set peer.tls.cert, key and ca to PEM files that this process can read and that belong together',
    cause,
  });
}

export function peerAddressInvalid(peer: string, address: string): DwError {
  return new DwError({
    code: 'peer-address-invalid',
    message: `the address ${shown(address)} of peer ${peer} is not host:port`,
    hint: 'write "peers": {"n2": "127.0.0.1:7501"}, with [::1]:7501 for IPv6',
  });
}

/** The connection was cut off while the handshake was under way. */
export function handshakeFailed(peer: string, reason: string): DwError {
  return withoutStack(
    () =>
      new DwError({
        code: 'peer-handshake-failed',
        status: 503,
        retryable: true,
        message: `the handshake with ${peer} failed: ${reason}`,
        hint: `compare cluster id, node ids, addresses and certificates of this node and ${peer}`,
      }),
  );
}
