// What the client port holds at most, and what happens at each bound.

/** Bounds of the client port. */
export interface ClientPortLimits {
  /** Connections; more are told `overloaded` and closed. */
  readonly maxConnections: number;
  /** Requests of one connection without an answer; more are refused with `overloaded`. */
  readonly maxInFlight: number;
  /** Requests of all connections without an answer; more are refused with `overloaded`. */
  readonly maxRequests: number;
  /** Longest body of a frame; a longer one ends its connection. */
  readonly maxFrameBytes: number;
  /** Bytes of frames that are not complete, of all connections; who goes beyond is told `overloaded` and closed. */
  readonly maxPartialBytes: number;
  /** Bytes that a connection's peer has not taken at which nothing more is read from it. */
  readonly pauseBytes: number;
  /** Bytes that a connection's peer has not taken at which values are refused with `overloaded`. */
  readonly maxBacklogBytes: number;
  /** Watches of one connection; more are refused with `overloaded`. */
  readonly maxWatches: number;
  /** A connection that says nothing for longer is closed, ms. */
  readonly idleMs: number;
  /** Time for TLS and hello, ms. */
  readonly helloMs: number;
}

const MIB = 1_024 * 1_024;

/** The bounds in force. A frame holds the largest value that `maxValueBytes` can allow, and its key. */
export const CLIENT_PORT_LIMITS: ClientPortLimits = {
  maxConnections: 4_096,
  maxInFlight: 4_096,
  maxRequests: 16_384,
  maxFrameBytes: 8 * MIB,
  maxPartialBytes: 128 * MIB,
  pauseBytes: MIB,
  maxBacklogBytes: 8 * MIB,
  maxWatches: 256,
  idleMs: 60_000,
  helloMs: 5_000,
};
