// How an error travels to the peer that asked: its code and sentence, never its stack or cause. It comes from another
// process, so that it is checked on arrival.

import { DwError, errorMessage, isDwError } from '@datawarehouse/sdk';
import { handlerFailed, shown } from '../errors.js';

const MAX_MESSAGE = 2_048;
const MAX_DETAILS = 4_096;
/** Bytes of an encoded error at most; every text in it is bounded. */
export const MAX_ERROR_BYTES = 32 * 1024;
const CODE = /^[a-z0-9]+(?:-[a-z0-9]+)*$/;

/** Encodes what a handler threw. */
export function encodeError(node: string, channel: string, thrown: unknown): Buffer {
  const error = isDwError(thrown) ? thrown : handlerFailed(node, channel, errorMessage(thrown));
  const { code, retryable, status, retryAfterMs } = error;
  const fields = {
    code: code.slice(0, 128),
    message: error.message.slice(0, MAX_MESSAGE),
    hint: error.hint?.slice(0, MAX_MESSAGE),
    retryable,
    status,
    retryAfterMs,
    details: encodableDetails(error.details),
  };
  return Buffer.from(JSON.stringify(fields));
}

function encodableDetails(details: DwError['details']): DwError['details'] {
  if (details === undefined) return undefined;
  try {
    return JSON.stringify(details).length <= MAX_DETAILS ? details : undefined;
  } catch {
    return undefined; // Not plain JSON, against the contract of DwError: the code and the message still travel.
  }
}

/** Decodes an error that a peer answered with. Never throws. */
export function decodeError(peer: string, payload: Buffer): DwError {
  const fields = parsed(payload);
  const { code, message, hint, retryable, status, retryAfterMs, details } = fields;
  if (typeof code !== 'string' || code.length > 128 || !CODE.test(code) || typeof message !== 'string') {
    return new DwError({
      code: 'peer-handler-failed',
      message: `${peer} answered with an error that cannot be read: ${shown(payload.toString('latin1', 0, 80))}`,
      hint: `check that ${peer} runs a version that goes with this one`,
    });
  }
  return new DwError({
    code,
    message: message.slice(0, MAX_MESSAGE),
    retryable: retryable === true,
    ...(typeof hint === 'string' ? { hint: hint.slice(0, MAX_MESSAGE) } : {}),
    ...(isNumber(status, 400, 599) ? { status } : {}),
    ...(isNumber(retryAfterMs, 0, 86_400_000) ? { retryAfterMs } : {}),
    details: { ...(isRecord(details) ? details : {}), answeredBy: peer },
  });
}

function parsed(payload: Buffer): Readonly<Record<string, unknown>> {
  if (payload.length > MAX_ERROR_BYTES) return {};
  try {
    const value: unknown = JSON.parse(payload.toString('utf8'));
    return isRecord(value) ? value : {};
  } catch {
    return {}; // Reported by the caller as an error that cannot be read.
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isNumber(value: unknown, min: number, max: number): value is number {
  return typeof value === 'number' && value >= min && value <= max;
}
