// Every error of this folder, in one place.

import { DwError } from '../errors/index.js';
import type { LimitDescriptor } from './scalable-subsystem.js';

const UNPROCESSABLE = 422;

function quoted(name: string): string {
  return JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name);
}

/** What an operator reads for a value that may be anything: short, and never the whole of a large object. */
function shown(value: unknown): string {
  if (typeof value === 'number') return String(value);
  if (typeof value === 'string') return quoted(value);
  if (value === null || value === undefined || typeof value === 'boolean') return String(value);
  return Array.isArray(value) ? 'an array' : `a ${typeof value}`;
}

export function limitsNotAnObject(subsystem: string, value: unknown): DwError {
  return new DwError({
    code: 'limit-unknown',
    status: UNPROCESSABLE,
    message: `limits of ${subsystem} must be an object of numbers by limit name, not ${shown(value)}`,
    hint: 'send {"limitName": number, …}',
  });
}

export function limitUnknown(subsystem: string, name: string, known: readonly string[]): DwError {
  return new DwError({
    code: 'limit-unknown',
    status: UNPROCESSABLE,
    message: `${subsystem} has no limit ${quoted(name)}; it has ${known.join(', ')}`,
    hint: 'read GET /v1/limits for the names',
    details: { subsystem, limit: name.slice(0, 80), known },
  });
}

export function limitOutOfRange(
  subsystem: string,
  name: string,
  value: unknown,
  limit: LimitDescriptor,
): DwError {
  const kind = limit.integer === false ? 'a number' : 'a whole number';
  return new DwError({
    code: 'limit-out-of-range',
    status: UNPROCESSABLE,
    message: `limit ${name} of ${subsystem} cannot be ${shown(value)}: it must be ${kind} from ${limit.min} to ${limit.max} (${limit.unit})`,
    hint: `choose a value from ${limit.min} to ${limit.max}; the default is ${limit.default}`,
    details: { subsystem, limit: name, min: limit.min, max: limit.max, unit: limit.unit },
  });
}

export function limitDescriptorInvalid(subsystem: string, name: string, reason: string): DwError {
  return new DwError({
    code: 'limit-descriptor-invalid',
    message: `the descriptor of limit ${quoted(name)} of ${subsystem} is wrong: ${reason}`,
    hint: 'correct the descriptor in the code or manifest that declares the limit',
  });
}

export function limitApplyFailed(subsystem: string, names: readonly string[], cause: unknown): DwError {
  return new DwError({
    code: 'limit-apply-failed',
    message: `${subsystem} could not take the new value of ${names.join(', ')}; the previous values are in force again`,
    hint: 'see the cause; the subsystem refused a value that its own descriptor allows',
    cause,
  });
}

export function cacheOptionInvalid(cache: string, option: string, value: unknown, allowed: string): DwError {
  return new DwError({
    code: 'cache-option-invalid',
    message: `${option} of cache "${cache}" cannot be ${shown(value)}: it must be ${allowed}`,
    hint: 'correct the option, or leave it out for the default',
  });
}

export function cacheClosed(cache: string): DwError {
  return new DwError({
    code: 'cache-closed',
    status: 503,
    message: `cache "${cache}" is closed`,
    hint: 'stop using the cache once its owner has been stopped',
  });
}

export function cacheNeedsAsync(cache: string, method: string): DwError {
  return new DwError({
    code: 'cache-needs-async',
    message: `cache "${cache}" writes through to its store, which ${method} cannot wait for`,
    hint: `use ${method}Async, or write-behind`,
  });
}

export function cacheDirtyFull(cache: string, entries: number, bytes: number): DwError {
  return new DwError({
    code: 'cache-dirty-full',
    status: 503,
    retryable: true,
    message: `cache "${cache}" has ${entries} changes (${bytes} bytes) that its store has not taken yet, and takes no more`,
    hint: 'wait with putAsync or deleteAsync, or look at why the store is slow or failing',
    details: { cache, entries, bytes },
  });
}

export function cacheBusy(cache: string, what: string, limit: number): DwError {
  return new DwError({
    code: 'cache-busy',
    status: 503,
    retryable: true,
    message: `cache "${cache}" has ${limit} ${what} under way and takes no more`,
    hint: 'ask for less at once, or look at why the store or loader is slow',
    details: { cache, limit },
  });
}

export function cacheLoadTimeout(cache: string, timeoutMs: number): DwError {
  return new DwError({
    code: 'cache-load-timeout',
    status: 504,
    retryable: true,
    message: `a load of cache "${cache}" did not end within ${timeoutMs} ms`,
    hint: 'look at why the store or loader is slow, or raise loadTimeoutMs',
    details: { cache, timeoutMs },
  });
}

export function cacheFlushFailed(cache: string, left: number, cause: unknown): DwError {
  return new DwError({
    code: 'cache-flush-failed',
    retryable: true,
    message: `cache "${cache}" could not write ${left} changes to its store; they are kept`,
    hint: 'see the cause, and flush or close again once the store works',
    cause,
    details: { cache, left },
  });
}
