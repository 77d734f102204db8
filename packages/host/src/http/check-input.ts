// Checks what a request brings against what its route declares: JSON body, query, path parameters.

import type { SchemaChecker } from '../schema/schema-checker.js';
import { badJson, requestInvalid, unsupportedMediaType } from './errors.js';
import type { Exchange } from './exchange.js';

const JSON_TYPE = /^application\/(?:[\w.+-]+\+)?json\s*(?:;|$)/i;
const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Keys that would change an object's prototype when it is merged carelessly are dropped as they are parsed. */
function reviver(this: unknown, key: string, value: unknown): unknown {
  return key === '__proto__' ? undefined : value;
}

function parseJson(bytes: Buffer, contentType: string | undefined): unknown {
  // Asking for the type also keeps web pages out: without it a form on any site could post here.
  if (contentType === undefined || !JSON_TYPE.test(contentType)) {
    throw unsupportedMediaType(contentType ?? 'a body without content type');
  }
  try {
    const text = utf8.decode(bytes);
    return text.includes('__proto__') ? JSON.parse(text, reviver) : JSON.parse(text);
  } catch (thrown) {
    throw badJson(bytes.length === 0 ? 'it is empty' : (thrown as Error).message);
  }
}

/**
 * Checks the request and replaces a JSON body's bytes with its checked value. Hot path: a route with a bytes body and
 * no schemas passes through.
 * @throws DwError `request-invalid`, `bad-json`, `unsupported-media-type`.
 */
export function checkInput(exchange: Exchange, bodies: SchemaChecker, texts: SchemaChecker): void {
  const { route } = exchange.entry;
  for (const [schema, value] of [
    [route.params, exchange.params],
    [route.query, route.query && exchange.query],
  ] as const) {
    if (schema === undefined) continue;
    const checked = texts.check(schema, { ...value });
    if (!checked.ok) throw requestInvalid(checked.issues);
  }
  if (route.body === undefined || route.body === 'bytes') return;
  const parsed = parseJson(exchange.body as Buffer, exchange.request.headers['content-type']);
  const checked = bodies.check(route.body, parsed);
  if (!checked.ok) throw requestInvalid(checked.issues);
  exchange.body = checked.value;
}
