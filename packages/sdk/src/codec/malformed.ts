// The error of bytes that do not follow their format.

import { DwError } from '../errors/dw-error.js';

/** Bytes from a peer, a log or a client do not follow their format. */
export function malformed(what: string, why: string): DwError {
  return new DwError({ code: 'frame-malformed', message: `${what} is malformed: ${why}`, status: 400 });
}
