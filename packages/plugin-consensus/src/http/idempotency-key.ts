// What the Idempotency-Key header says: a text of the client's choice, or a place in a session.
//
// The rule: a key that begins with `session/` names a place, as `session/GROUP/SESSION/SEQUENCE` or with the lowest
// sequence still wanted as a fifth part, and is strict: applied once or refused, however late the retry. Any other key is
// remembered as long as the group's table reaches back.

import type { CommandIdentity } from '@datawarehouse/sdk';
import { requestInvalid } from '../errors.js';

const PREFIX = 'session/';
const PLACE = /^session\/([A-Za-z0-9][A-Za-z0-9._-]{0,63})\/(\d{1,16})\/(\d{1,16})(?:\/(\d{1,16}))?$/;

/** The identity of a command from the header. @throws DwError `request-invalid` for a place that is none. */
export function identityOf(header: string | undefined): CommandIdentity {
  if (header === undefined) return {};
  if (!header.startsWith(PREFIX)) return { idempotencyKey: header };
  const [, group, session, sequence, lowestWanted] = PLACE.exec(header) ?? [];
  const numbers = [session, sequence, lowestWanted ?? '0'].map(Number);
  if (group === undefined || !numbers.every(Number.isSafeInteger)) {
    throw requestInvalid(
      `The Idempotency-Key ${JSON.stringify(header.slice(0, 128))} names no place in a session`,
      'send session/GROUP/SESSION/SEQUENCE as POST /v1/sessions answered them, or a key that does not begin with session/',
    );
  }
  const [id = 0, place = 0, lowest = 0] = numbers;
  return { session: { group, session: id, sequence: place, lowestWanted: lowest } };
}
