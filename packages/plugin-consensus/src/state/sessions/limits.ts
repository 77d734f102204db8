// The bounds of what a group remembers of its clients' commands. They are constants, and no limits that an operator can
// change: replicas that forget at different entries would no longer agree.

/**
 * Sessions of one group. A client has one for each group that it writes to, so this many clients of a group can be sure
 * of their retries at the same time. The least recently used one goes when another is opened. An idle session takes
 * about 300 bytes: 3 MB for all.
 */
export const MAX_SESSIONS = 10_000;

/**
 * Outcomes that one session keeps. A client has at most this many commands under way or not acknowledged; another one
 * is refused, and never makes room by dropping an outcome that may still be asked for.
 */
export const MAX_OUTCOMES_PER_SESSION = 4_096;

/** Bytes of results that one session keeps (of plugins' state machines; outcomes of the key-value store have none). */
export const MAX_RESULT_BYTES_PER_SESSION = 8 * 1_024 * 1_024;

/**
 * Outcomes of all sessions of a group together, about 100 bytes each. Beyond, the least recently used sessions go. It
 * bounds the time that copying the table for a snapshot takes to a few milliseconds.
 */
export const MAX_OUTCOMES = 200_000;

/** Bytes of results of all sessions of a group together. Beyond, the least recently used sessions go. */
export const MAX_RESULT_BYTES_TOTAL = 64 * 1_024 * 1_024;

/**
 * Plain idempotency keys remembered in a group, the least recently used going first. A retry must come before so many
 * other requests with such keys have been applied in the same group; one that must not depend on it uses a session.
 */
export const MAX_IDEMPOTENCY_KEYS = 100_000;

/** Bytes of results kept for plain idempotency keys. Beyond, the least recently used go. */
export const MAX_KEYED_RESULT_BYTES = 64 * 1_024 * 1_024;
