// Reads the headers and query of key-value requests. Strict: what is not understood is refused, never ignored, since an
// ignored condition would turn a conditional write into an unconditional one.

import { requestInvalid } from '../errors.js';
import type { WriteCondition } from '../state/command.js';

const ETAG = /^"(\d{1,16})"$/;

/** The entity tag of a version. */
export function etagOf(version: number): string {
  return `"${version}"`;
}

/**
 * The condition of a write from `If-Match: "n"` or `If-None-Match: *`.
 * @throws DwError `request-invalid` for anything else.
 */
export function conditionOf(headers: Readonly<Record<string, string | undefined>>): WriteCondition {
  const match = headers['if-match'];
  const noneMatch = headers['if-none-match'];
  if (match !== undefined && noneMatch !== undefined) {
    throw requestInvalid('If-Match and If-None-Match exclude each other', 'send one of them');
  }
  if (noneMatch !== undefined) {
    if (noneMatch.trim() === '*') return 'absent';
    throw requestInvalid(`If-None-Match cannot be ${quoted(noneMatch)}`, 'send If-None-Match: *');
  }
  if (match === undefined) return undefined;
  const version = Number(ETAG.exec(match.trim())?.[1] ?? NaN);
  if (Number.isSafeInteger(version)) return version;
  throw requestInvalid(
    `If-Match cannot be ${quoted(match)}`,
    'send the one ETag that a read answered, such as "7"',
  );
}

/** The consistency of a read. @throws DwError `request-invalid`. */
export function consistencyOf(query: Readonly<Record<string, string>>): 'linearizable' | 'stale' {
  const value = query['consistency'] ?? 'linearizable';
  if (value === 'linearizable' || value === 'stale') return value;
  throw requestInvalid(`consistency cannot be ${quoted(value)}`, 'use linearizable or stale');
}

/** The limit of a list; undefined when there is none. @throws DwError `request-invalid`. */
export function limitOf(query: Readonly<Record<string, string>>): number | undefined {
  const value = query['limit'];
  if (value === undefined) return undefined;
  if (/^\d{1,6}$/.test(value)) return Number(value);
  throw requestInvalid(`limit cannot be ${quoted(value)}`, 'give a whole number from 1 to 1000');
}

function quoted(value: string): string {
  return JSON.stringify(value.slice(0, 64));
}
