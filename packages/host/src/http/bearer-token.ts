// Compares the token of a request with the configured one in time that tells nothing of either.

import { createHash, timingSafeEqual } from 'node:crypto';

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
const SCHEME = /^Bearer +(\S+) *$/i;

/** Makes the check for a configured token; it takes the `Authorization` header. */
export function bearerCheck(token: string): (authorization: string | undefined) => boolean {
  const wanted = digest(token);
  return (authorization) => {
    const given = SCHEME.exec(authorization ?? '')?.[1];
    // Digests have one length, so that the comparison tells nothing of the token's.
    return given !== undefined && timingSafeEqual(digest(given), wanted);
  };
}
