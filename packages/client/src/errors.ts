// Every error that the client throws. Those of the nodes keep their codes; those of the client itself are made here.

const brand: unique symbol = Symbol.for('datawarehouse.DwClientError') as never;

/** What a {@link DwClientError} is made of. */
export interface DwClientErrorOptions {
  readonly code: string;
  readonly message: string;
  readonly retryable?: boolean;
  readonly retryAfterMs?: number | undefined;
  readonly hint?: string | undefined;
  readonly details?: Readonly<Record<string, unknown>> | undefined;
  readonly cause?: unknown;
}

/**
 * A call that failed. `code` is stable and is what programs look at. A write that failed with any code but
 * `outcome-unknown` did not happen and never will.
 */
export class DwClientError extends Error {
  override readonly name = 'DwClientError';
  readonly code: string;
  /** True when the same call may succeed later without anything being changed. */
  readonly retryable: boolean;
  /** When to try again, ms from now, if the node said so. */
  readonly retryAfterMs: number | undefined;
  /** One thing to do about it. */
  readonly hint: string | undefined;
  /** Further facts, such as `currentVersion` of a `version-mismatch`. */
  readonly details: Readonly<Record<string, unknown>> | undefined;
  readonly [brand] = true;

  constructor(options: DwClientErrorOptions) {
    super(options.message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = options.code;
    this.retryable = options.retryable ?? false;
    this.retryAfterMs = options.retryAfterMs;
    this.hint = options.hint;
    this.details = options.details;
  }
}

/** Whether `value` is a {@link DwClientError}, of any copy of this package, and of this `code` if one is given. */
export function isDwClientError(value: unknown, code?: string): value is DwClientError {
  if (typeof value !== 'object' || value === null) return false;
  const candidate = value as { [brand]?: unknown; code?: unknown };
  return candidate[brand] === true && (code === undefined || candidate.code === code);
}

/** An option makes no sense. */
export function optionInvalid(what: string, hint: string): DwClientError {
  return new DwClientError({ code: 'option-invalid', message: what, hint });
}

/** None of the endpoints answers as a node of the cluster. */
export function unreachable(tried: string, cause: unknown): DwClientError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new DwClientError({
    code: 'unreachable',
    message: `No node can be reached (tried ${tried}): ${why}`,
    hint: 'check that the nodes run and that the endpoints name their client ports',
    retryable: true,
    cause,
  });
}

/** The connection is gone. Internal: whoever waits is told something better. */
export function connectionLost(endpoint: string, why: string): DwClientError {
  return new DwClientError({
    code: 'connection-lost',
    message: `The connection to ${endpoint} was lost: ${why}`,
    retryable: true,
  });
}

/** A read had no answer in time. */
export function timedOut(what: string, ms: number, last: DwClientError | undefined): DwClientError {
  return new DwClientError({
    code: 'timeout',
    message: `${what} had no answer within ${ms} ms${last === undefined ? '' : ` (${last.message})`}; it did nothing`,
    hint: 'a majority of the nodes must run; raise timeoutMs if they are slow',
    retryable: true,
    cause: last,
  });
}

/** A write may have happened. */
export function outcomeUnknown(what: string, why: string, cause?: unknown): DwClientError {
  return new DwClientError({
    code: 'outcome-unknown',
    message: `${what} may have happened or may yet: ${why}`,
    hint: 'read the key to see',
    cause,
  });
}

/** The node answered what is no answer to the call. */
export function answerMalformed(what: string, writes: boolean, cause: unknown): DwClientError {
  if (writes) return outcomeUnknown(what, 'its answer cannot be read', cause);
  return new DwClientError({
    code: 'answer-malformed',
    message: `${what} was answered with what is no answer to it`,
    hint: 'use a client of the same version as the nodes',
    cause,
  });
}

/** The caller's signal aborted before anything was sent, or the call only read. */
export function aborted(what: string, cause: unknown): DwClientError {
  return new DwClientError({
    code: 'aborted',
    message: `${what} was given up by its caller; it did nothing`,
    cause,
  });
}

/** The client was closed. */
export function closed(): DwClientError {
  return new DwClientError({
    code: 'client-closed',
    message: 'The client was closed; the call did nothing',
    hint: 'connect a new client',
  });
}

/** As many calls wait as may. */
export function queueFull(max: number): DwClientError {
  return new DwClientError({
    code: 'queue-full',
    message: `${max} calls wait already; this one was refused and did nothing`,
    hint: 'await earlier calls, or raise maxQueued',
    retryable: true,
    retryAfterMs: 50,
  });
}

/** The key is none. */
export function keyInvalid(why: string): DwClientError {
  return new DwClientError({
    code: 'key-invalid',
    message: `The key ${why}`,
    hint: 'use 1 to 1024 bytes of well-formed UTF-8',
  });
}

/** The value does not fit. */
export function valueTooLarge(bytes: number, max: number): DwClientError {
  return new DwClientError({
    code: 'value-too-large',
    message: `The value has ${bytes} bytes; at most ${max} are allowed`,
    hint: 'split the value, or raise consensus.maxValueBytes on every node',
  });
}
