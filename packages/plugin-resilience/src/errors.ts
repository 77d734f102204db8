// Every error of this package, in one place. Those that a strategy makes for each call it turns away carry no stack:
// taking one costs more than the call that is refused.

import { DwError, errorMessage } from '@datawarehouse/sdk';
import type { DwErrorOptions } from '@datawarehouse/sdk';
import type { StrategyType } from './engine/layer.js';

/** An error that a strategy turned a call away with. Its brand is private: looking for it runs no code of the error. */
class Rejection extends DwError {
  readonly #by: StrategyType;
  readonly #policy: string;

  constructor(by: StrategyType, policy: string, options: DwErrorOptions) {
    super(options);
    this.#by = by;
    this.#policy = policy;
  }

  static by(error: object): StrategyType | undefined {
    return #by in error ? error.#by : undefined;
  }

  static policy(error: object): string | undefined {
    return #policy in error ? error.#policy : undefined;
  }
}

/** Makes a rejection without a stack. */
function rejection(by: StrategyType, policy: string, options: DwErrorOptions): DwError {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  try {
    return new Rejection(by, policy, options);
  } finally {
    Error.stackTraceLimit = limit;
  }
}

/**
 * The strategy of this process that turned a call away with this error, of whatever policy; undefined for other errors.
 * Whether it turned away a certain call, or only one that the call's action made, that call says (`Call.rejectedBy`).
 */
export function rejectingStrategy(error: unknown): StrategyType | undefined {
  return typeof error === 'object' && error !== null ? Rejection.by(error) : undefined;
}

/** The policy whose strategy turned a call away with this error; undefined for other errors. */
export function rejectingPolicy(error: unknown): string | undefined {
  return typeof error === 'object' && error !== null ? Rejection.policy(error) : undefined;
}

/** The text that names a policy's instance in messages. */
function named(policy: string, key: string): string {
  return key === '' ? `policy ${policy}` : `policy ${policy} for ${key}`;
}

/** A name as a caller gave it, which need not be a text. */
function inQuotes(name: unknown): string {
  return typeof name === 'string' ? JSON.stringify(name) : `that is a ${typeof name}`;
}

export function policyUnknown(name: string, known: readonly string[]): DwError {
  return new DwError({
    code: 'policy-unknown',
    status: 404,
    message: `there is no resilience policy ${inQuotes(name)}; there are ${known.join(', ') || 'none'}`,
    hint: 'set one with "dw resilience set", or in the configuration of the resilience plugin',
  });
}

export function policyInvalid(name: string, problems: readonly string[]): DwError {
  return new DwError({
    code: 'policy-invalid',
    status: 422,
    message: `policy ${JSON.stringify(name)} is not accepted: ${problems.join('; ')}`,
    hint: 'correct what is named; nothing has changed',
    details: { problems },
  });
}

export function policiesExhausted(most: number): DwError {
  return new DwError({
    code: 'policies-exhausted',
    status: 429,
    message: `there are ${most} resilience policies, which is all there may be; the new one was not set`,
    hint: 'remove policies that are not used, and use keys in place of many policies',
  });
}

export function policiesBusy(most: number): DwError {
  return new DwError({
    code: 'policies-busy',
    status: 503,
    retryable: true,
    retryAfterMs: 1_000,
    message: `${most} changes of policies wait for the disk, which is all that may; the policy was not changed`,
    hint: 'try again later',
  });
}

export function policyNotRemovable(name: string, source: 'configured' | 'shipped'): DwError {
  return new DwError({
    code: 'policy-not-removable',
    status: 409,
    message:
      source === 'configured'
        ? `policy ${name} comes from the configuration of this node and would be there again after a restart`
        : `policy ${name} ships with this version and plugins count on it`,
    hint:
      source === 'configured'
        ? 'take it out of the configuration, or set another document under its name'
        : 'set another document under its name',
  });
}

export function resilienceNotRunning(): DwError {
  return new DwError({
    code: 'resilience-not-running',
    status: 503,
    retryable: true,
    message: 'the resilience plugin is not running',
    hint: 'look at "dw plugins" for why',
  });
}

export function resilienceStopping(): DwError {
  return new DwError({
    code: 'resilience-stopping',
    status: 503,
    retryable: true,
    message: 'the resilience plugin is being stopped and takes no more calls; the call was not made',
    hint: 'try again when it runs again, or on another node',
  });
}

/** The reason that calls are given up with. */
export function resilienceStopped(): DwError {
  return new DwError({
    code: 'resilience-stopped',
    status: 503,
    retryable: true,
    message:
      'the resilience plugin was stopped while the call was under way, and it was given up; it may have had its effect',
    hint: 'try again when it runs again, or on another node',
  });
}

export function setRequestInvalid(): DwError {
  return new DwError({
    code: 'policy-set-invalid',
    status: 422,
    message: 'a change of a policy names either a document or the policy to remove, one of the two',
  });
}

export function policyNameMismatch(inPath: string, inDocument: unknown): DwError {
  return new DwError({
    code: 'policy-name-mismatch',
    status: 422,
    message: `the document names ${JSON.stringify(inDocument) ?? 'nothing'}, and the request policy ${inPath}`,
    hint: 'leave the name out of the document, or let the two agree',
  });
}

export function tryRunOver(): DwError {
  return new DwError({
    code: 'try-run-over',
    message: 'the run is over; nobody waits for the call any more',
  });
}

export function tryAnswered(status: number, retryAfterMs: number | undefined): DwError {
  return new DwError({
    code: 'try-answer-failed',
    status,
    retryable: true,
    message: `the answer has status ${status}`,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

export function tryUnreachable(url: string, cause: unknown): DwError {
  const { cause: deeper } = cause as { readonly cause?: { readonly code?: unknown } };
  const why = typeof deeper?.code === 'string' ? deeper.code : errorMessage(cause);
  return new DwError({
    code: 'try-no-answer',
    status: 502,
    retryable: true,
    cause,
    message: `no answer from ${url}: ${why}`,
  });
}

export function tryUrlInvalid(url: string, why: string): DwError {
  return new DwError({
    code: 'try-url-invalid',
    status: 422,
    message: `a policy cannot be tried against ${JSON.stringify(url)}: ${why}`,
    hint: 'give a URL such as http://127.0.0.1:8080/health',
  });
}

export function tryNotAllowed(httpUrl: string): DwError {
  return new DwError({
    code: 'try-not-allowed',
    status: 403,
    message: `trying a policy makes this node call any URL that is asked for, and whoever reaches ${httpUrl} may ask, since the node has no token`,
    hint: 'set http.token, or listen on loopback only',
  });
}

export function tryRunsExhausted(most: number): DwError {
  return new DwError({
    code: 'try-runs-exhausted',
    status: 429,
    retryable: true,
    retryAfterMs: 5_000,
    message: `${most} policies are being tried, which is all that may at once`,
    hint: 'wait for them, or raise maxTryRuns of the resilience subsystem',
  });
}

export function isolationsExhausted(policy: string, most: number): DwError {
  return new DwError({
    code: 'isolations-exhausted',
    status: 422,
    message: `${most} keys of policy ${policy} are isolated by hand, which is all that may be`,
    hint: 'isolate the whole policy, or reset keys that need not be isolated',
  });
}

export function orderNotKept(policy: string, cause: unknown): DwError {
  return new DwError({
    code: 'resilience-order-not-kept',
    status: 503,
    cause,
    message: `the breakers of policy ${policy} are as was asked, but the disk did not take it: it does not hold after a restart (${errorMessage(cause)})`,
    hint: 'see to the disk of this node, and ask again',
  });
}

export function breakerMissing(policy: string): DwError {
  return new DwError({
    code: 'policy-has-no-breaker',
    status: 409,
    message: `policy ${policy} has no circuit breaker to isolate or reset`,
    hint: 'add a circuit-breaker to the policy',
  });
}

export function keyUnknown(policy: string, key: string): DwError {
  return new DwError({
    code: 'resilience-key-unknown',
    status: 404,
    message: `policy ${policy} has no state for key ${JSON.stringify(key)}: it was not used yet, or was forgotten when idle`,
    hint: 'look at the keys of "dw resilience show"',
  });
}

export function keyInvalid(policy: string, longest: number): DwError {
  return new DwError({
    code: 'resilience-key-invalid',
    status: 422,
    message: `a key of policy ${policy} must be a text of at most ${longest} characters; the call was not made`,
    hint: 'use the name of the dependency that is called, not the data that is sent to it',
  });
}

/** @param part What of the call is wrong. @param allowed What it may be. */
export function callInvalid(policy: string, part: string, allowed: string, given: unknown): DwError {
  return new DwError({
    code: 'resilience-call-invalid',
    status: 422,
    message: `the ${part} of a call under policy ${policy} must be ${allowed}, not ${given === null ? 'null' : `a ${typeof given}`}; the call was not made`,
    hint: 'correct the program that makes the call',
  });
}

/** @param retryAfterMs Until it lets a probe through. */
export function circuitOpen(policy: string, key: string, retryAfterMs: number): DwError {
  return rejection('circuit-breaker', policy, {
    code: 'circuit-open',
    status: 503,
    retryable: true,
    retryAfterMs,
    message: `the circuit breaker of ${named(policy, key)} is open; the call was not made`,
    hint: 'try again later, or look at "dw resilience show" for why it opened',
  });
}

export function circuitIsolated(policy: string, key: string): DwError {
  return rejection('circuit-breaker', policy, {
    code: 'circuit-isolated',
    status: 503,
    message: `the circuit breaker of ${named(policy, key)} was isolated by hand; the call was not made`,
    hint: 'close it with "dw resilience reset" when calls may be made again',
  });
}

export function bulkheadFull(policy: string, key: string, concurrency: number, queue: number): DwError {
  return rejection('bulkhead', policy, {
    code: 'bulkhead-full',
    status: 429,
    retryable: true,
    message: `${named(policy, key)} has ${concurrency} calls under way and ${queue} waiting, which is all it may have; the call was not made`,
    hint: 'try again later, or raise the bulkhead',
  });
}

export function queueTimedOut(policy: string, key: string, waitedMs: number): DwError {
  return rejection('bulkhead', policy, {
    code: 'bulkhead-queue-timeout',
    status: 503,
    retryable: true,
    message: `a call under ${named(policy, key)} waited ${Math.round(waitedMs)} ms for its turn, which is all it may; it was not made`,
    hint: 'try again later, or raise the bulkhead',
  });
}

export function rateLimited(policy: string, key: string, retryAfterMs: number): DwError {
  return rejection('rate-limit', policy, {
    code: 'rate-limited',
    status: 429,
    retryable: true,
    retryAfterMs,
    message: `${named(policy, key)} has made all the calls it may for now; the call was not made`,
    hint: 'try again when retryAfterMs have passed, or raise the rate',
  });
}

export function concurrencyLimited(policy: string, key: string, limit: number): DwError {
  return rejection('adaptive-concurrency', policy, {
    code: 'concurrency-limited',
    status: 429,
    retryable: true,
    message: `${named(policy, key)} has ${limit} calls under way, which is what its latency allows now; the call was not made`,
    hint: 'try again later',
  });
}

export function callTimedOut(policy: string, key: string, timeoutMs: number): DwError {
  return rejection('timeout', policy, {
    code: 'call-timeout',
    status: 504,
    retryable: true,
    message: `a call under ${named(policy, key)} took longer than ${timeoutMs} ms; it may have had its effect`,
    hint: 'find out what is slow, or raise the timeout',
  });
}

export function chaosInjected(policy: string, key: string, what: string): DwError {
  return rejection('chaos', policy, {
    code: 'chaos-injected',
    status: 503,
    retryable: true,
    message: `${what} was injected by the chaos strategy of ${named(policy, key)}`,
    hint: 'turn the chaos strategy off',
  });
}

/** The reason that attempts of a hedge are given up with; no caller sees it. */
export function attemptNotNeeded(policy: string, key: string): DwError {
  return rejection('hedge', policy, {
    code: 'attempt-not-needed',
    status: 499,
    message: `another attempt of the same call under ${named(policy, key)} was faster; this one is not waited for`,
  });
}

export function keysExhausted(policy: string, most: number): DwError {
  return rejection('bulkhead', policy, {
    code: 'resilience-keys-exhausted',
    status: 503,
    retryable: true,
    message: `policy ${policy} has ${most} keys that cannot be forgotten now, which is all it may have; the call was not made`,
    hint: 'raise maxCacheEntries of the resilience subsystem, or use fewer keys',
  });
}

export function circuitNoticeMalformed(why: string): DwError {
  return new DwError({
    code: 'circuit-notice-malformed',
    status: 400,
    message: `a peer's notice of circuit breakers is not taken: ${why}`,
    hint: 'run the same version on all nodes',
  });
}
