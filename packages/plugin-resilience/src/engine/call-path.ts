// What a call is made of: what is called, what its caller says of it, and the row of layers that it goes through.

import type { Call } from './call.js';
import type { Layer } from './layer.js';

/** What is called. It is given a signal if it takes an argument. */
export type Action<T> = (signal: AbortSignal) => PromiseLike<T> | T;

/** How a call ended, as its observer sees it. */
export type Ending = 'succeeded' | 'failed' | 'cancelled';

/** What a caller may say of one call. */
export interface CallOptions {
  /** Gives the call up, wherever it is. */
  readonly signal?: AbortSignal | undefined;
  /** Who comes first in queues: higher before lower, first come first served within one. Default 0. */
  readonly priority?: number | undefined;
  /** Stands in for the fallback's value: made from the error. */
  readonly fallback?: ((error: unknown) => unknown) | undefined;
  /** Calls with equal identities are the same call, where calls are coalesced. Default: the key of the call. */
  readonly identity?: string | undefined;
}

/** A row of layers that calls go through. Calls under way keep the row they began with. */
export interface CallPath {
  readonly layers: readonly Layer[];
  /** Whether a layer gives up attempts while the caller still waits, so that attempts need signals of their own. */
  readonly givesUp: boolean;
  /** Told once of each call's end. Must not throw. */
  ended(call: Call, ending: Ending): void;
}
