// A module hook that makes sure that the bytes that are loaded are the bytes that were vouched for: a file could be
// exchanged between a check and the import that follows it. It runs in Node's own thread for hooks, knows nothing of
// the host, and finds the expected hash in the URL. It is plain JavaScript, so that it can be registered as it is.

import { createHash } from 'node:crypto';

/** Query parameter that carries the expected `sha256-<base64>`. */
const INTEGRITY_PARAMETER = 'dw-integrity';

/** Node's `load` hook. */
export async function load(url, context, nextLoad) {
  const result = await nextLoad(url, context);
  if (!url.includes(INTEGRITY_PARAMETER)) return result;
  const expected = new URL(url).searchParams.get(INTEGRITY_PARAMETER);
  if (result.source === undefined || result.source === null) {
    throw new Error(`the bytes of a ${result.format} module cannot be checked; use an ES module`);
  }
  const data = result.source instanceof ArrayBuffer ? new Uint8Array(result.source) : result.source;
  const actual = `sha256-${createHash('sha256').update(data).digest('base64')}`;
  if (actual !== expected) throw new Error(`the entry changed while it was loaded: ${actual}`);
  return result;
}
