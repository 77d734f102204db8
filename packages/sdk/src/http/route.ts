// How a plugin adds calls to the host's HTTP API, without knowing which framework serves it.

import type { TSchema } from '@sinclair/typebox';

/** The HTTP methods a route can have. */
export type HttpMethod = 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE';

/** A request as a route's handler sees it. */
export interface RouteRequest {
  /** Path parameters, percent-decoded; `*` holds the rest of the path for a route that ends in `/*`. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string>>;
  /** Header names are lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** The parsed and checked JSON body, or the bytes when the route's `body` is `bytes`. */
  readonly body: unknown;
  /** Aborts when the client goes away or the host stops. */
  readonly signal: AbortSignal;
}

/** What a route answers. A `body` that is not bytes or text is sent as JSON. */
export interface RouteResponse {
  /** Default 200. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** Server-sent events or another stream; used instead of `body`. */
  readonly stream?: AsyncIterable<string | Uint8Array>;
}

/** One call of the HTTP API. It appears in `/openapi.json` while it is registered. */
export interface RouteDefinition {
  readonly method: HttpMethod;
  /** `/v1/things/:id`, or `/v1/things/*` for the rest of a path. */
  readonly path: string;
  /** What the API description calls the rest of a path that ends in `/*`. Default `rest`. */
  readonly restName?: string;
  /** One line for the API description. */
  readonly summary: string;
  readonly params?: TSchema;
  readonly query?: TSchema;
  /** A schema for JSON, or `bytes` for the raw body. Left out: no body. */
  readonly body?: TSchema | 'bytes';
  /** Largest body in bytes; a function is asked at each request. Default 1 MiB. Larger is 413 `body-too-large`. */
  readonly maxBodyBytes?: number | (() => number);
  /** What it answers, by status; for the API description. */
  readonly responses?: Readonly<Record<number, TSchema | 'bytes'>>;
  /**
   * Asked before the body is read: throw a DwError (status 429 or 503, with `retryAfterMs`) to refuse the request at
   * once. Must be quick.
   */
  readonly admit?: () => void;
  /** Answers. A DwError that it throws becomes a problem document with the error's status and code. */
  readonly handler: (request: RouteRequest) => RouteResponse | Promise<RouteResponse>;
}
