// Compares the token of a request with the configured one in time that tells nothing of either.

import { createHash, timingSafeEqual } from 'node:crypto';

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
const SCHEME = /^Bearer +(\S+) *$/i;

/** Makes the check for a configured token; it takes what somebody says the token is. */
export function tokenCheck(token: string): (given: string | undefined) => boolean {
  const wanted = digest(token);
  // Digests have one length, so that the comparison tells nothing of the token's.
  return (given) => given !== undefined && timingSafeEqual(digest(given), wanted);
}

/** Makes the check for a configured token; it takes the `Authorization` header. */
export function bearerCheck(token: string): (authorization: string | undefined) => boolean {
  const isToken = tokenCheck(token);
  return (authorization) => isToken(SCHEME.exec(authorization ?? '')?.[1]);
}
