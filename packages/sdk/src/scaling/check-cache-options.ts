// What the options of a bounded cache may be.

import type { BoundedCacheOptions } from './bounded-cache-options.js';
import { cacheOptionInvalid } from './errors.js';

/** Entries of a cache whose maker did not say how many. */
export const DEFAULT_MAX_ENTRIES = 10_000;

/** @throws DwError `cache-option-invalid`. */
export function checkCacheOptions<K, V>(cache: string, options: BoundedCacheOptions<K, V>): void {
  const { maxEntries = DEFAULT_MAX_ENTRIES, maxBytes = Number.POSITIVE_INFINITY, ttlMs, load } = options;
  checkCacheBounds(cache, maxEntries, maxBytes, options.sizeOf !== undefined);
  if (ttlMs !== undefined && !(ttlMs > 0)) throw cacheOptionInvalid(cache, 'ttlMs', ttlMs, 'above 0');
  if (load !== undefined && options.persistence !== undefined) {
    throw cacheOptionInvalid(cache, 'load', load, 'left out when there is a store to read from');
  }
}

/** @throws DwError `cache-option-invalid`. */
export function checkCacheBounds(
  cache: string,
  maxEntries: number,
  maxBytes: number,
  countsBytes: boolean,
): void {
  if (!Number.isSafeInteger(maxEntries) || maxEntries < 1) {
    throw cacheOptionInvalid(cache, 'maxEntries', maxEntries, 'a whole number from 1');
  }
  if (!(maxBytes >= 1)) throw cacheOptionInvalid(cache, 'maxBytes', maxBytes, 'a number from 1');
  if (maxBytes !== Number.POSITIVE_INFINITY && !countsBytes) {
    throw cacheOptionInvalid(
      cache,
      'maxBytes',
      maxBytes,
      'left out when there is no sizeOf to count bytes with',
    );
  }
}
