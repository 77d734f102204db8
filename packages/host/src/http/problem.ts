// Errors as problem documents (RFC 9457), the one form in which the HTTP API says no.

import { STATUS_CODES } from 'node:http';
import type { DwError } from '@datawarehouse/sdk';

/** Media type of a problem document. */
export const PROBLEM_TYPE = 'application/problem+json; charset=utf-8';

/** A problem document. */
export interface Problem {
  /** Names the kind of error: `urn:datawarehouse:error:<code>`. */
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  /** Stable; programs match on it. */
  readonly code: string;
  /** Whether the same call may succeed later without anything being changed. */
  readonly retryable: boolean;
  readonly hint?: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

/** The status an error is answered with. A plugin's error may say anything, so only 4xx and 5xx count. */
export function problemStatus(error: DwError): number {
  const { status } = error;
  return Number.isInteger(status) && status >= 400 && status <= 599 ? status : 500;
}

/** The problem document of an error. */
export function toProblem(error: DwError): Problem {
  const status = problemStatus(error);
  return {
    type: `urn:datawarehouse:error:${error.code}`,
    title: STATUS_CODES[status] ?? 'Error',
    status,
    detail: error.message,
    code: error.code,
    retryable: error.retryable,
    ...(error.hint !== undefined && { hint: error.hint }),
    ...(error.details !== undefined && { details: error.details }),
  };
}

/** The problem document as JSON text. Details that are not JSON are left out. */
export function problemText(error: DwError): string {
  const problem = toProblem(error);
  try {
    return JSON.stringify(problem);
  } catch {
    // A cycle or a BigInt in the details; the rest is plain text and numbers.
    const { details: _details, ...rest } = problem;
    return JSON.stringify(rest);
  }
}

/** Headers that go with an error: content type, `Retry-After`, `Allow`, `WWW-Authenticate`. */
export function problemHeaders(error: DwError): Record<string, string> {
  const headers: Record<string, string> = { 'content-type': PROBLEM_TYPE };
  const { retryAfterMs } = error;
  if (retryAfterMs !== undefined && Number.isFinite(retryAfterMs)) {
    headers['retry-after'] = String(Math.max(1, Math.ceil(retryAfterMs / 1_000)));
  }
  if (error.code === 'unauthorized') headers['www-authenticate'] = 'Bearer';
  const allowed = error.details?.['allowed'];
  if (error.code === 'method-not-allowed' && Array.isArray(allowed)) headers['allow'] = allowed.join(', ');
  return headers;
}
