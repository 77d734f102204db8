// The one error class of the house. Everything that crosses a package boundary as a failure is a DwError: it has a
// stable code for programs and a sentence for people that says who, what, and what to do.

const brand: unique symbol = Symbol.for('datawarehouse.DwError') as never;

/** What a {@link DwError} is made of. */
export interface DwErrorOptions {
  /** Stable, kebab-case identifier. Programs match on it; it never changes once released. */
  readonly code: string;
  /** One sentence for an operator: who, what, and which bound or rule was broken. */
  readonly message: string;
  /** True when the same call may succeed later without anything being changed. Default false. */
  readonly retryable?: boolean;
  /** What led to this error. */
  readonly cause?: unknown;
  /** One thing to do about it. */
  readonly hint?: string;
  /** The HTTP status that an API answers with when this error reaches it. Default 500. */
  readonly status?: number;
  /** When to try again, in milliseconds from now. Sent as `Retry-After` over HTTP. */
  readonly retryAfterMs?: number;
  /** Further facts for programs; plain JSON only. */
  readonly details?: Readonly<Record<string, unknown>>;
}

/** A failure with a stable {@link DwError.code}. Recognise it with {@link isDwError}, never with `instanceof`. */
export class DwError extends Error {
  override readonly name: string = 'DwError';
  readonly code: string;
  readonly retryable: boolean;
  readonly hint: string | undefined;
  readonly status: number;
  readonly retryAfterMs: number | undefined;
  readonly details: Readonly<Record<string, unknown>> | undefined;
  readonly [brand] = true;

  constructor(options: DwErrorOptions) {
    super(options.message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = options.code;
    this.retryable = options.retryable ?? false;
    this.hint = options.hint;
    this.status = options.status ?? 500;
    this.retryAfterMs = options.retryAfterMs;
    this.details = options.details;
  }
}

/**
 * Whether `value` is a {@link DwError}, of any copy of this package, and of this `code` if one is given.
 */
export function isDwError(value: unknown, code?: string): value is DwError {
  if (typeof value !== 'object' || value === null) return false;
  const candidate = value as { [brand]?: unknown; code?: unknown };
  return candidate[brand] === true && (code === undefined || candidate.code === code);
}

/** The text of anything that was thrown, for a log line or a message. */
export function errorMessage(thrown: unknown): string {
  if (thrown instanceof Error) return thrown.message;
  return typeof thrown === 'string' ? thrown : (JSON.stringify(thrown) ?? String(thrown));
}
