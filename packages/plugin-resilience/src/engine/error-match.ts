// Which errors a strategy takes for failures: a part of its options, compiled once into a predicate that allocates
// nothing. What another strategy of the same policy turned a call away with is judged by that strategy's type, what the
// action failed with by what it says of itself, be it what a call that the action made was turned away with.

import { Type, isDwError } from '@datawarehouse/sdk';
import type { Static } from '@datawarehouse/sdk';
import type { StrategyType } from './layer.js';

/** Names in a list. A list that needs more wants `retryableOnly`. */
const MAX_LISTED = 64;

const STRATEGY_TYPES = Type.Union([
  Type.Literal('adaptive-concurrency'),
  Type.Literal('bulkhead'),
  Type.Literal('chaos'),
  Type.Literal('circuit-breaker'),
  Type.Literal('coalesce'),
  Type.Literal('fallback'),
  Type.Literal('hedge'),
  Type.Literal('rate-limit'),
  Type.Literal('retry'),
  Type.Literal('timeout'),
]);

const names = (description: string) =>
  Type.Optional(
    Type.Array(Type.String({ minLength: 1, maxLength: 128 }), { maxItems: MAX_LISTED, description }),
  );

/** Schema of {@link ErrorMatch}. */
export const ERROR_MATCH = Type.Object(
  {
    codes: names('errors whose `code` is one of these'),
    notCodes: names('never errors whose `code` is one of these, whatever else is said here'),
    names: names('errors whose `name` is one of these'),
    statuses: Type.Optional(
      Type.Array(Type.Integer({ minimum: 100, maximum: 599 }), {
        maxItems: MAX_LISTED,
        description: 'errors whose `status` (or `statusCode`) is one of these',
      }),
    ),
    rejections: Type.Optional(
      Type.Array(STRATEGY_TYPES, {
        maxItems: 16,
        description:
          'what these strategies of this policy turn calls away with; codes, names and statuses do not matter for it. What another policy turned away within the action is an error of the action',
      }),
    ),
    retryableOnly: Type.Optional(
      Type.Boolean({ description: 'only errors that say of themselves that they are `retryable`' }),
    ),
  },
  { additionalProperties: false },
);

/**
 * Which errors are meant. `codes`, `names` and `statuses` are alternatives; when none is given, every error of the
 * action is meant that is no cancellation (an `AbortError`: somebody further in did not want it any more).
 */
export type ErrorMatch = Static<typeof ERROR_MATCH>;

/**
 * Whether an error is meant. Allocates nothing and never throws.
 * @param rejectedBy The strategy of the same policy that made it, if one did (`Call.rejectedBy`).
 */
export type ErrorPredicate = (error: unknown, rejectedBy: StrategyType | undefined) => boolean;

/** What a strategy takes for a failure where its {@link ErrorMatch} says nothing. */
export interface ErrorMatchDefaults {
  /** The strategies whose rejections are meant. */
  readonly rejections: readonly StrategyType[];
  /** Leaves out DwErrors that say that trying again does not help, unless `codes` or the like name them. */
  readonly sparesFinal: boolean;
}

/**
 * The rejections that stand for an action's own failure: it took too long, or chaos failed in its place. All others say
 * that the action was not called.
 */
const AS_THE_ACTION: readonly StrategyType[] = ['timeout', 'chaos'];

/** What is tried again where options say nothing. */
export const RETRIED_BY_DEFAULT: ErrorMatchDefaults = { rejections: AS_THE_ACTION, sparesFinal: true };

/** What counts as a failure of the action where options say nothing: for a breaker, for a hedge. */
export const FAILURE_BY_DEFAULT: ErrorMatchDefaults = { rejections: AS_THE_ACTION, sparesFinal: false };

/** What a fallback stands in for where options say nothing. */
export const REPLACED_BY_DEFAULT: ErrorMatchDefaults = {
  rejections: STRATEGY_TYPES.anyOf.map((type) => type.const),
  sparesFinal: false,
};

/** The strategies whose rejections are meant by `match`. */
export function handledRejections(match: ErrorMatch, defaults: ErrorMatchDefaults): readonly StrategyType[] {
  return match.rejections ?? defaults.rejections;
}

/** Makes the predicate of `match`. */
export function compileErrorMatch(match: ErrorMatch, defaults: ErrorMatchDefaults): ErrorPredicate {
  const rejections = new Set(handledRejections(match, defaults));
  const notCodes = setOf(match.notCodes);
  const codes = setOf(match.codes);
  const errorNames = setOf(match.names);
  const statuses = setOf(match.statuses);
  const named = codes !== undefined || errorNames !== undefined || statuses !== undefined;
  const retryableOnly = match.retryableOnly ?? false;
  const judge: ErrorPredicate = (error, rejectedBy) => {
    const seen = seenOf(error);
    if (notCodes?.has(seen.code) === true) return false;
    if (retryableOnly && seen.retryable !== true) return false;
    if (rejectedBy !== undefined) {
      return rejections.has(rejectedBy) && !(defaults.sparesFinal && isFinal(error));
    }
    if (!named) return seen.name !== 'AbortError' && !(defaults.sparesFinal && isFinal(error));
    return (
      codes?.has(seen.code) === true ||
      errorNames?.has(seen.name) === true ||
      statuses?.has(seen.status ?? seen.statusCode) === true
    );
  };
  return (error, rejectedBy) => {
    try {
      return judge(error, rejectedBy);
    } catch {
      // A getter of the error threw: it says nothing of itself.
      return !named && !retryableOnly;
    }
  };
}

/** Whether an error says that somebody further in did not want the call any more. Never throws. */
export function isCancellation(error: unknown): boolean {
  try {
    return seenOf(error).name === 'AbortError';
  } catch {
    return false;
  }
}

/** What is looked at of anything that was thrown. */
interface Seen {
  readonly code?: unknown;
  readonly name?: unknown;
  readonly status?: unknown;
  readonly statusCode?: unknown;
  readonly retryable?: unknown;
}

const NOTHING: Seen = Object.freeze({});

function seenOf(error: unknown): Seen {
  return typeof error === 'object' && error !== null ? error : NOTHING;
}

/** A DwError that says that the same call fails again. */
function isFinal(error: unknown): boolean {
  return isDwError(error) && !error.retryable;
}

/** An empty list means no error, an absent one that nothing is said. */
function setOf(values: readonly unknown[] | undefined): ReadonlySet<unknown> | undefined {
  return values === undefined ? undefined : new Set(values);
}
