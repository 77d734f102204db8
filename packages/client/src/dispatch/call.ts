// One call of the client's user on its way: what it asks for, how long it has, and what is known of its tries.

import type { ClientOperation } from '@datawarehouse/sdk/client-protocol';
import type { Connection } from '../connection/connection.js';
import type { DwClientError } from '../errors.js';
import type { SessionPlace } from '../sessions/session-pool.js';

/**
 * Where a call is. `queued`: waits for room among the calls in flight. `parked`: waits for a node to send it to.
 * `sent`: a node has it. `over`: it has its answer.
 */
export type CallState = 'queued' | 'parked' | 'sent' | 'over';

/** A call. */
export interface Call {
  readonly operation: ClientOperation;
  /** Its place in a session: a write gets one before it is first sent, and keeps it. */
  place: SessionPlace | undefined;
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

/** What a call begins with. */
export type NewCall = Pick<
  Call,
  'operation' | 'group' | 'what' | 'writes' | 'deadline' | 'timeoutMs' | 'done' | 'failed'
>;

/** A call before its first try. */
export function newCall(given: NewCall): Call {
  const { operation, group, what, writes, deadline, timeoutMs, done, failed } = given;
  return {
    operation,
    place: undefined,
    group,
    what,
    writes,
    deadline,
    timeoutMs,
    done,
    failed,
    state: 'queued',
    tries: 0,
    doubt: undefined,
    refusal: undefined,
    notBefore: 0,
    sentOn: undefined,
    requestId: 0,
  };
}

/** Whether a try that was lost may be made again without a risk of doing it twice. */
export function isRepeatable({ writes, place }: Call): boolean {
  return !writes || place !== undefined;
}

/** What a try of the call sends: a write carries its place, and how far its session has got by now. */
export function operationOf({ operation, place }: Call): ClientOperation {
  if (place === undefined || (operation.op !== 'put' && operation.op !== 'delete')) return operation;
  return { ...operation, session: place.session.stamp(place.sequence) };
}
