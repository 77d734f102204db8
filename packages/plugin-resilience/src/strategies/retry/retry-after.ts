// What an error says about when to try again: `retryAfterMs` of a DwError (or of any error that has it), or the
// `Retry-After` header of an answer that the error carries (RFC 9110, 10.2.3: seconds, or a date).

/** What is looked at of anything that was thrown. */
interface Hinting {
  readonly retryAfterMs?: unknown;
  readonly headers?: unknown;
  /** The answer that the error was made of, as some HTTP clients keep it. */
  readonly response?: { readonly headers?: unknown } | null;
}

/** Headers with a `get`, as `fetch` has them. */
interface HeadersLike {
  get(name: string): unknown;
}

/** The forms that are sent nowadays, both in GMT. Other text is not given to a parser that takes nearly anything. */
const HTTP_DATE = /^[A-Za-z]{3,9},? [ \dA-Za-z:-]{10,40} GMT$/;

/**
 * Milliseconds from now that the error asks for; undefined when it says nothing that can be understood. Not bounded.
 * @param wallTime The wall clock's time, for dates alone.
 */
export function retryAfterOf(error: unknown, wallTime: () => number): number | undefined {
  try {
    return askedFor(error, wallTime);
  } catch {
    // Headers and getters are foreign code. What cannot be read asks for nothing; the error itself still comes out.
    return undefined;
  }
}

function askedFor(error: unknown, wallTime: () => number): number | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  const { retryAfterMs, headers, response }: Hinting = error;
  if (typeof retryAfterMs === 'number' && retryAfterMs >= 0) return retryAfterMs;
  const value = headerOf(headers ?? response?.headers);
  if (typeof value === 'number') return value >= 0 ? value * 1_000 : undefined;
  if (typeof value !== 'string') return undefined;
  const text = value.trim();
  if (/^\d{1,15}$/.test(text)) return Number(text) * 1_000;
  if (!HTTP_DATE.test(text)) return undefined;
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : Math.max(0, at - wallTime());
}

function headerOf(headers: unknown): unknown {
  if (typeof headers !== 'object' || headers === null) return undefined;
  if (typeof (headers as Partial<HeadersLike>).get === 'function') {
    return (headers as HeadersLike).get('retry-after');
  }
  const record = headers as Readonly<Record<string, unknown>>;
  const value = record['retry-after'] ?? record['Retry-After'];
  return Array.isArray(value) ? (value as unknown[])[0] : value;
}
