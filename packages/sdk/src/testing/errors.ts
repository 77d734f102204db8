// Every error of the test kit, in one place. Those of the transport have the codes that its contract names.

import { DwError, errorMessage, isDwError } from '../errors/index.js';

export function peerUnknown(localId: string, peer: string): DwError {
  return new DwError({
    code: 'peer-unknown',
    message: `${localId} knows no peer "${peer}"`,
    hint: 'give the memory network every node id when it is made',
  });
}

export function frameTooLarge(bytes: number, maximum: number): DwError {
  return new DwError({
    code: 'frame-too-large',
    status: 413,
    message: `a message of ${bytes} bytes is larger than the ${maximum} bytes that a frame can carry`,
    hint: 'send less at once',
  });
}

export function peerUnreachable(localId: string, peer: string): DwError {
  return new DwError({
    code: 'peer-unreachable',
    retryable: true,
    status: 503,
    message: `${localId} has no connection to ${peer}`,
    hint: 'try again once the peer is connected',
  });
}

export function peerQueueFull(localId: string, peer: string, lane: string): DwError {
  return new DwError({
    code: 'peer-queue-full',
    retryable: true,
    status: 503,
    message: `the ${lane} queue from ${localId} to ${peer} is full`,
    hint: 'wait for drained() and send again',
  });
}

export function peerTimeout(localId: string, peer: string, channel: string, timeoutMs: number): DwError {
  return new DwError({
    code: 'peer-timeout',
    retryable: true,
    status: 504,
    message: `${peer} did not answer ${localId} on channel ${channel} within ${timeoutMs} ms; it may have handled the request`,
    hint: 'ask again only what may be done twice',
  });
}

export function peerDisconnected(localId: string, peer: string): DwError {
  return new DwError({
    code: 'peer-disconnected',
    retryable: true,
    status: 503,
    message: `the connection from ${localId} to ${peer} ended before the answer; the request may have been handled`,
    hint: 'ask again only what may be done twice',
  });
}

export function channelTaken(localId: string, channel: string): DwError {
  return new DwError({
    code: 'channel-taken',
    message: `channel ${channel} of ${localId} has a handler already`,
    hint: 'dispose of the other handler first, or use another channel',
  });
}

export function channelUnknown(peer: string, channel: string): DwError {
  return new DwError({
    code: 'channel-unknown',
    message: `nobody on ${peer} answers requests on channel ${channel}`,
    hint: 'register a handler with onRequest for the channel on that node',
  });
}

/** What a handler threw, as its caller on another node sees it: a copy without stack or cause, as from the wire. */
export function overTheWire(thrown: unknown): DwError {
  if (!isDwError(thrown)) {
    return new DwError({ code: 'peer-handler-failed', message: `the peer failed: ${errorMessage(thrown)}` });
  }
  return new DwError({
    code: thrown.code,
    message: thrown.message,
    retryable: thrown.retryable,
    status: thrown.status,
    ...(thrown.hint === undefined ? {} : { hint: thrown.hint }),
    ...(thrown.retryAfterMs === undefined ? {} : { retryAfterMs: thrown.retryAfterMs }),
    ...(thrown.details === undefined ? {} : { details: thrown.details }),
  });
}
