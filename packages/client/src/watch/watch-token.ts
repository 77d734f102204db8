// The place of a watch as text: for each group the version up to which everything was told. Users keep it and give it
// back; what it looks like is nobody's business.

import { optionInvalid } from '../errors.js';

const MAX_GROUPS = 65_535;

/** A place as text. */
export function encodeToken(places: ReadonlyMap<string, number>): string {
  return Buffer.from(JSON.stringify([...places])).toString('base64url');
}

/** A text that {@link encodeToken} made. @throws DwClientError `option-invalid`. */
export function decodeToken(token: string): Map<string, number> {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(token, 'base64url').toString());
  } catch {
    throw tokenInvalid();
  }
  if (!Array.isArray(value) || value.length > MAX_GROUPS) throw tokenInvalid();
  const places = new Map<string, number>();
  for (const pair of value as readonly unknown[]) {
    if (!Array.isArray(pair)) throw tokenInvalid();
    const [group, version] = pair as readonly unknown[];
    if (typeof group !== 'string' || !Number.isSafeInteger(version) || (version as number) < 0)
      throw tokenInvalid();
    places.set(group, version as number);
  }
  return places;
}

function tokenInvalid(): Error {
  return optionInvalid(
    'The token of a watch is none',
    'give the token of an event, or of the watch, as it was',
  );
}
