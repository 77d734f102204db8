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

/** Errors that a plugin under test sees when it uses its context against the rules. Their codes are those of the host. */
export const contextErrors = {
  closed: (plugin: string): DwError =>
    new DwError({
      code: 'context-closed',
      message: `plugin ${plugin} used its context after it was stopped`,
      hint: 'stop work when context.signal aborts, and keep nothing of the context',
    }),
  serviceNotDeclared: (plugin: string, service: string, list: 'provides' | 'requires'): DwError =>
    new DwError({
      code: 'service-not-declared',
      message: `plugin ${plugin} used service ${service}, which its manifest does not name in "${list}"`,
      hint: `add "${service}" to "${list}" in the manifest`,
    }),
  serviceMissing: (plugin: string, service: string): DwError =>
    new DwError({
      code: 'service-missing',
      message: `nobody provides service ${service}, which plugin ${plugin} asked for`,
      hint: 'give the test context the service with provide()',
    }),
  serviceTaken: (plugin: string, service: string): DwError =>
    new DwError({
      code: 'service-taken',
      message: `plugin ${plugin} cannot provide ${service}: it is provided already`,
      hint: 'provide each service once',
    }),
  storeNotPermitted: (plugin: string, path: unknown, root: string): DwError =>
    new DwError({
      code: 'store-not-permitted',
      status: 403,
      message: `plugin ${plugin} may not use ${String(path).slice(0, 100)}: its paths start with ${root}`,
      hint: 'make paths with context.storePath',
    }),
  routeTaken: (plugin: string, method: string, path: string): DwError =>
    new DwError({
      code: 'route-taken',
      message: `plugin ${plugin} cannot serve ${method} ${path}: it is served already`,
      hint: 'use another path, or dispose of the other route first',
    }),
  subsystemTaken: (plugin: string, subsystem: string): DwError =>
    new DwError({
      code: 'subsystem-taken',
      message: `plugin ${plugin} cannot register subsystem ${subsystem}: the name is in use`,
      hint: 'give each subsystem a name of its own',
    }),
} as const;

/** Errors of requests to a plugin under test. Their codes are those of the host. */
export const requestErrors = {
  notFound: (method: string, path: string): DwError =>
    new DwError({ code: 'not-found', status: 404, message: `nothing is served at ${method} ${path}` }),
  bodyTooLarge: (maximum: number): DwError =>
    new DwError({
      code: 'body-too-large',
      status: 413,
      message: `the body is larger than the ${maximum} bytes that are allowed`,
    }),
  invalid: (where: string, issues: readonly string[]): DwError =>
    new DwError({
      code: 'request-invalid',
      status: 400,
      message: `the ${where} is not as the route declares: ${issues.join('; ')}`,
      details: { issues },
    }),
  internal: (cause: unknown): DwError =>
    new DwError({ code: 'internal', status: 500, message: 'the handler of the route failed', cause }),
} as const;

/** Errors of a {@link MemoryConsensus}. Their codes are those of the consensus plugin. */
export const consensusErrors = {
  groupUnknown: (group: string): DwError =>
    new DwError({ code: 'group-unknown', status: 404, message: `there is no group ${group}` }),
  machineRegistered: (name: string): DwError =>
    new DwError({
      code: 'machine-registered',
      message: `a state machine ${name} is registered already`,
      hint: 'register each name once, and dispose of it when the plugin ends',
    }),
  sessionExpired: (group: string, session: number): DwError =>
    new DwError({
      code: 'session-expired',
      status: 410,
      message: `group ${group} has no session ${session}`,
    }),
  queryUnsupported: (name: string): DwError =>
    new DwError({
      code: 'query-unsupported',
      status: 422,
      message: `the state machine ${name} answers no queries`,
      hint: 'give it a query method',
    }),
} as const;

export function stepTimeout(plugin: string, phase: string, timeoutMs: number): DwError {
  return new DwError({
    code: 'plugin-step-timeout',
    message: `plugin ${plugin} did not finish ${phase} within ${timeoutMs} ms`,
    hint: `look at what ${phase} awaits; give the test host a longer stepTimeoutMs if it is right to be slow`,
    details: { plugin, phase, timeoutMs },
  });
}

export function notAPlugin(what: string): DwError {
  return new DwError({
    code: 'plugin-shape-invalid',
    message: `createTestHost was given ${what} where a plugin, its class or a factory is wanted`,
    hint: 'pass what the entry module exports as "plugin"',
  });
}
