// Bounds and deadlines of the HTTP server, with their defaults.

import { SLOW_READER_MS } from './pump-stream.js';

/** Bounds and deadlines of the server. */
export interface HttpServerLimits {
  /** Requests under way at once; more get 503 `overloaded`. Default 10 000. */
  readonly maxRequests: number;
  /** Bytes of request bodies in memory at once; a request that needs more gets 503 `overloaded`. Default 256 MiB. */
  readonly maxBodyBytesInMemory: number;
  /** Connections open at once; more are closed as they come. Default 10 000. */
  readonly maxConnections: number;
  /** Milliseconds for the whole request to arrive. Default 120 000. */
  readonly requestMs: number;
  /** Milliseconds for the headers to arrive. Default 20 000. */
  readonly headersMs: number;
  /** Milliseconds an idle connection is kept. Default 75 000. */
  readonly keepAliveMs: number;
  /** Milliseconds a handler may take. Default 120 000. */
  readonly handlerMs: number;
  /** Milliseconds that requests under way have to finish when the server closes. Default 5 000. */
  readonly drainMs: number;
  /** Milliseconds a reader of a stream may leave a full buffer unread. Default 10 000. */
  readonly slowReaderMs: number;
}

/** Bytes of the request line and headers at most. A key of 1 024 bytes, percent-encoded, takes 3 072 of them. */
export const MAX_HEADER_BYTES = 16 * 1024;

/** The defaults. */
export const DEFAULT_HTTP_LIMITS: HttpServerLimits = {
  maxRequests: 10_000,
  maxBodyBytesInMemory: 256 * 1024 * 1024,
  maxConnections: 10_000,
  requestMs: 120_000,
  headersMs: 20_000,
  keepAliveMs: 75_000,
  handlerMs: 120_000,
  drainMs: 5_000,
  slowReaderMs: SLOW_READER_MS,
};
