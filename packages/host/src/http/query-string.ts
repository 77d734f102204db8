// Parses a query strictly: what is not valid percent-encoded UTF-8 is refused rather than guessed at.

import { badPercentEncoding, requestInvalid } from './errors.js';

const MAX_PARAMETERS = 100;
const EMPTY: Readonly<Record<string, string>> = Object.freeze({});

function decode(text: string): string {
  const spaced = text.includes('+') ? text.replaceAll('+', ' ') : text;
  if (!spaced.includes('%')) return spaced;
  try {
    return decodeURIComponent(spaced);
  } catch {
    throw badPercentEncoding('query');
  }
}

/**
 * Parses what follows the `?`.
 * @throws DwError `bad-percent-encoding`; `request-invalid` when a name comes twice or there are more than 100.
 */
export function parseQuery(text: string): Readonly<Record<string, string>> {
  if (text === '') return EMPTY;
  const parts = text.split('&', MAX_PARAMETERS + 1);
  if (parts.length > MAX_PARAMETERS) {
    throw requestInvalid([`the query has more than ${MAX_PARAMETERS} parameters`]);
  }
  // Without a prototype, so that a parameter called "constructor" is a parameter.
  const query = Object.create(null) as Record<string, string>;
  for (const part of parts) {
    if (part === '') continue;
    const equals = part.indexOf('=');
    const name = decode(equals === -1 ? part : part.slice(0, equals));
    if (name in query) throw requestInvalid([`the query has "${name.slice(0, 80)}" more than once`]);
    query[name] = equals === -1 ? '' : decode(part.slice(equals + 1));
  }
  return query;
}
