// What the HTTP server and the route table say when they refuse something.

import { DwError } from '@datawarehouse/sdk';

function shown(text: string): string {
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
}

/** Another route has the same method and path. */
export function routeTaken(method: string, path: string, owner: string, wantedBy: string): DwError {
  return new DwError({
    code: 'route-taken',
    status: 409,
    message: `${wantedBy} cannot add the route ${method} ${path}: ${owner} serves it already`,
    hint: `choose another path, or disable ${owner}`,
  });
}

/** A route is not one that can be served. */
export function routeInvalid(owner: string, method: string, path: string, why: string): DwError {
  return new DwError({
    code: 'route-invalid',
    message: `the route ${shown(`${method} ${path}`)} of ${owner} is wrong: ${why}`,
    hint: 'write paths such as /v1/things, /v1/things/:id or /v1/things/*',
  });
}

/** The table holds as many routes as it may. */
export function routesFull(owner: string, most: number): DwError {
  return new DwError({
    code: 'routes-full',
    message: `${owner} cannot add a route: the host has ${most} routes already, the most it allows`,
    hint: 'dispose of routes that are no longer needed',
  });
}

/** No route has this path. */
export function notFound(method: string, path: string): DwError {
  return new DwError({
    code: 'not-found',
    status: 404,
    message: `there is nothing at ${method} ${shown(path)}`,
    hint: 'GET /openapi.json lists every call',
  });
}

/**
 * Nothing serves the path now, and something may again soon. It must not be 404: for `GET /v1/kv/…` that would say that
 * the key is absent, while its plugin is merely starting.
 */
export function notServedNow(path: string, why: string): DwError {
  return new DwError({
    code: 'not-served-now',
    status: 503,
    retryable: true,
    retryAfterMs: 1_000,
    message: `nothing serves ${shown(path)} at the moment: ${why}; nothing was done`,
    hint: 'try again after a second, or on another node; GET /v1/plugins shows the state of each plugin',
  });
}

/** The path exists, the method does not. */
export function methodNotAllowed(method: string, path: string, allowed: readonly string[]): DwError {
  return new DwError({
    code: 'method-not-allowed',
    status: 405,
    message: `${shown(path)} does not answer ${method}; it answers ${allowed.join(', ')}`,
    details: { allowed },
  });
}

/** The path or the query has a `%` that begins no valid escape, or one that is not UTF-8. */
export function badPercentEncoding(where: string): DwError {
  return new DwError({
    code: 'bad-percent-encoding',
    status: 400,
    message: `the ${where} is not valid percent-encoded UTF-8`,
    hint: 'encode each key with encodeURIComponent',
  });
}

/** The path or the query is longer than any call needs. */
export function uriTooLong(what: string, most: number): DwError {
  return new DwError({
    code: 'uri-too-long',
    status: 414,
    message: `${what} is longer than ${most} characters`,
  });
}

/** No or a wrong token. */
export function unauthorized(): DwError {
  return new DwError({
    code: 'unauthorized',
    status: 401,
    message: 'this host asks for a token, and the request has none or a wrong one',
    hint: 'send "Authorization: Bearer <http.token of the configuration>"; dw takes --token or DW_TOKEN',
  });
}

/** A web page of another site tries to change something through somebody's browser. */
export function crossSite(origin: string): DwError {
  return new DwError({
    code: 'cross-site',
    status: 403,
    message: `pages of ${shown(origin)} may not change anything on this host`,
  });
}

/** The body is larger than the route takes. */
export function bodyTooLarge(most: number): DwError {
  return new DwError({
    code: 'body-too-large',
    status: 413,
    message: `the body is larger than ${most} bytes, the most this call takes`,
    details: { maxBodyBytes: most },
  });
}

/** The body is not JSON, or the content type says that it is not. */
export function badJson(why: string): DwError {
  return new DwError({ code: 'bad-json', status: 400, message: `the body is not JSON: ${shown(why)}` });
}

/** The content type of a JSON call is something else. */
export function unsupportedMediaType(contentType: string): DwError {
  return new DwError({
    code: 'unsupported-media-type',
    status: 415,
    message: `this call takes application/json, not ${shown(contentType)}`,
  });
}

/** Body, query or path parameters do not match the call's schema. */
export function requestInvalid(issues: readonly string[]): DwError {
  return new DwError({
    code: 'request-invalid',
    status: 400,
    message: issues.join('; '),
    details: { issues },
  });
}

/** The client broke off while sending. Nobody reads this answer; it is for the counters. */
export function requestAborted(): DwError {
  return new DwError({ code: 'request-aborted', status: 400, message: 'the client went away while sending' });
}

/** More is under way than the server takes. */
export function overloaded(what: string): DwError {
  return new DwError({
    code: 'overloaded',
    status: 503,
    retryable: true,
    retryAfterMs: 1_000,
    message: `this node has ${what}, the most it takes; nothing was done`,
    hint: 'try again after a second, or on another node',
  });
}

/** The host is shutting down. */
export function stopping(): DwError {
  return new DwError({
    code: 'stopping',
    status: 503,
    retryable: true,
    retryAfterMs: 1_000,
    message: 'this node is stopping; nothing was done',
    hint: 'use another node',
  });
}

/** A handler did not answer in time. For a call that changes something the outcome is not known. */
export function handlerLate(method: string, path: string, afterMs: number): DwError {
  const changes = method !== 'GET';
  return new DwError({
    code: changes ? 'outcome-unknown' : 'handler-timeout',
    status: changes ? 503 : 504,
    retryable: true,
    message: `${method} ${path} was not answered within ${afterMs} ms${changes ? '; it may have happened or may yet' : ''}`,
  });
}

/** A handler threw something that is not a DwError. What it was is in the log, not in the answer. */
export function internalError(cause: unknown): DwError {
  return new DwError({
    code: 'internal',
    status: 500,
    message: 'the call failed inside the host; its log has the cause',
    cause,
  });
}

/** The listener could not be opened. */
export function listenFailed(host: string, port: number, cause: NodeJS.ErrnoException): DwError {
  const why = LISTEN_FAILURES[cause.code ?? ''] ?? cause.message;
  return new DwError({
    code: 'http-listen-failed',
    message: `HTTP cannot listen on ${host}:${port}: ${why}`,
    cause,
    hint: 'choose another "http.port", or stop what holds it',
  });
}

const LISTEN_FAILURES: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the port is in use',
  EADDRNOTAVAIL: 'this machine does not have that address',
  EACCES: 'not permitted',
  ENOTFOUND: 'the name is not known',
};

/** The TLS files cannot be used. */
export function tlsUnusable(cause: unknown): DwError {
  return new DwError({
    code: 'http-tls-unusable',
    message: `the TLS files of "http" cannot be used: ${cause instanceof Error ? cause.message : String(cause)}`,
    cause,
    hint: 'http.tls.cert and http.tls.key must be readable PEM files that belong together',
  });
}
