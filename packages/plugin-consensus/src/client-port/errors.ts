// What the client port refuses, besides what the groups themselves refuse.

import { DwError } from '@datawarehouse/sdk';

/** The client did not show the token. */
export function clientUnauthorized(): DwError {
  return new DwError({
    code: 'client-unauthorized',
    message: 'This node asks for a token, and the client showed none or another one',
    hint: 'give the client the token of the node (http.token of its configuration)',
    status: 401,
  });
}

/** The client speaks another version of the protocol. */
export function clientVersionUnsupported(theirs: number, ours: number): DwError {
  return new DwError({
    code: 'client-version-unsupported',
    message: `The client speaks version ${theirs} of the client protocol, this node version ${ours}`,
    hint: 'use a client of the same major version as the node',
  });
}

/** The client wants another cluster. */
export function clientClusterMismatch(wanted: string, ours: string): DwError {
  return new DwError({
    code: 'client-cluster-mismatch',
    message: `The client wants cluster ${JSON.stringify(wanted)}, and this node belongs to ${JSON.stringify(ours)}`,
    hint: 'correct the endpoints or the cluster id of the client',
  });
}

/** The connection said nothing for too long. */
export function clientIdle(ms: number): DwError {
  return new DwError({
    code: 'client-idle',
    message: `The connection said nothing for ${ms} ms and was closed`,
    retryable: true,
  });
}

/** The client port has as many connections, requests or bytes as it holds. */
export function clientPortOverloaded(what: string, max: number): DwError {
  return new DwError({
    code: 'overloaded',
    message: `The client port of this node holds at most ${max} ${what}; the request was refused and did nothing`,
    hint: 'retry after the time given, or spread the load over more nodes',
    retryable: true,
    retryAfterMs: 250,
    status: 429,
  });
}

/** The client asks for something that this node does not know. */
export function operationUnknown(): DwError {
  return new DwError({
    code: 'operation-unknown',
    message: 'The client asked for an operation that this node does not know; it did nothing',
    hint: 'update the node, or use an older client',
    status: 400,
  });
}

/** The listener cannot be opened. */
export function clientListenFailed(host: string, port: number, cause: unknown): DwError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new DwError({
    code: 'client-listen-failed',
    message: `The client port cannot listen on ${host}:${port}: ${why}`,
    hint: 'free the port, or set "client": {"port": …} in the configuration of the node',
    cause,
  });
}

/** The TLS files cannot be used. */
export function clientTlsUnusable(cause: unknown): DwError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new DwError({
    code: 'client-tls-unusable',
    message: `The TLS files of the client port cannot be used: ${why}`,
    hint: 'check http.tls of the configuration; the files are PEM',
    cause,
  });
}
