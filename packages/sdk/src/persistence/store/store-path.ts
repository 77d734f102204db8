// The rule for paths of a backing store, in one place for all stores.

import { storeInvalidPath } from '../errors.js';

/** Longest path, in characters. */
export const MAX_PATH_LENGTH = 1024;

const SCHEME = 'dw://';
const ALLOWED = /^[A-Za-z0-9._~@+=-]+$/;
const ALLOWED_IN_PREFIX = /^[A-Za-z0-9._~@+=/-]*$/;

/**
 * Checks a path, which may come from anywhere.
 * @throws DwError `store-invalid-path`.
 */
export function checkStorePath(path: unknown): asserts path is string {
  if (typeof path !== 'string') throw storeInvalidPath(path, 'it is not a text');
  if (path.length > MAX_PATH_LENGTH) {
    throw storeInvalidPath(path, `it has ${path.length} characters, at most ${MAX_PATH_LENGTH} are allowed`);
  }
  if (!path.startsWith(SCHEME)) throw storeInvalidPath(path, `it does not start with ${SCHEME}`);
  for (const segment of path.slice(SCHEME.length).split('/')) checkSegment(path, segment);
}

/**
 * Checks a prefix for listing: a beginning of a path, which may end anywhere, also within `dw://`.
 * @throws DwError `store-invalid-path`.
 */
export function checkStorePrefix(prefix: unknown): asserts prefix is string {
  if (typeof prefix !== 'string') throw storeInvalidPath(prefix, 'it is not a text');
  if (prefix.length > MAX_PATH_LENGTH) {
    throw storeInvalidPath(
      prefix,
      `it has ${prefix.length} characters, at most ${MAX_PATH_LENGTH} are allowed`,
    );
  }
  if (SCHEME.startsWith(prefix)) return;
  if (!prefix.startsWith(SCHEME)) throw storeInvalidPath(prefix, `it does not start with ${SCHEME}`);
  const rest = prefix.slice(SCHEME.length);
  if (!ALLOWED_IN_PREFIX.test(rest)) throw storeInvalidPath(prefix, 'it has a character that is not allowed');
  // All segments but the last are whole, so they obey the rule of paths.
  for (const segment of rest.split('/').slice(0, -1)) checkSegment(prefix, segment);
}

function checkSegment(path: string, segment: string): void {
  if (segment === '') throw storeInvalidPath(path, 'it has an empty segment');
  if (segment === '.' || segment === '..') throw storeInvalidPath(path, `it has a segment ${segment}`);
  if (!ALLOWED.test(segment)) throw storeInvalidPath(path, 'it has a character that is not allowed');
}
