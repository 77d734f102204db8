// One call of the client's user on its way: what it asks for, how long it has, and what is known of its tries.

import type { ClientOperation } from '@datawarehouse/sdk/client-protocol';
import type { Connection } from '../connection/connection.js';
import type { DwClientError } from '../errors.js';

/**
 * Where a call is. `queued`: waits for room among the calls in flight. `parked`: waits for a node to send it to.
 * `sent`: a node has it. `over`: it has its answer.
 */
export type CallState = 'queued' | 'parked' | 'sent' | 'over';

/** A call. */
export interface Call {
  /** What it asks for; a write gets its place in a session before it is first sent. */
  operation: ClientOperation;
  /** The group that it is for. */
  readonly group: string;
  /** What it does, in a few words, for messages. */
  readonly what: () => string;
  /** Whether it changes anything. */
  readonly writes: boolean;
  /** Time at which it gives up. */
  readonly deadline: number;
  readonly timeoutMs: number;
  readonly done: (body: Buffer) => void;
  readonly failed: (error: DwClientError) => void;
  state: CallState;
  /** Tries that were refused or lost. */
  tries: number;
  /** A try of a write that is not known to have done nothing, and why. */
  doubt: DwClientError | undefined;
  /** The last refusal. */
  refusal: DwClientError | undefined;
  /** Time before which it is not tried again. */
  notBefore: number;
  /** The connection and request of the present try. */
  sentOn: Connection | undefined;
  requestId: number;
}

/** Whether a try that was lost may be made again without a risk of doing it twice. */
export function isRepeatable({ writes, operation }: Call): boolean {
  if (!writes) return true;
  if (operation.op === 'put' || operation.op === 'delete') return operation.session !== undefined;
  // A session that is opened twice costs a place in a table, and nothing else.
  return true;
}
