// A module hook that makes sure that the bytes that are loaded are the bytes that were vouched for: a file could be
// exchanged between a check and the import that follows it. It runs in Node's own thread for hooks, knows nothing of
// the host, and finds the expected hash in the URL.

import { createHash } from 'node:crypto';

/** Query parameter that carries the expected `sha256-<base64>`. */
export const INTEGRITY_PARAMETER = 'dw-integrity';

/** `sha256-<base64>` of bytes or text. */
export function sha256Of(data: string | Uint8Array): string {
  return `sha256-${createHash('sha256').update(data).digest('base64')}`;
}

interface LoadResult {
  readonly format: string;
  readonly source?: string | ArrayBuffer | Uint8Array | null;
  readonly shortCircuit?: boolean;
}

/** Node's `load` hook. */
export async function load(
  url: string,
  context: unknown,
  nextLoad: (url: string, context: unknown) => Promise<LoadResult>,
): Promise<LoadResult> {
  const result = await nextLoad(url, context);
  if (!url.includes(INTEGRITY_PARAMETER)) return result;
  const expected = new URL(url).searchParams.get(INTEGRITY_PARAMETER);
  const { source } = result;
  if (source === undefined || source === null) {
    throw new Error(`the bytes of a ${result.format} module cannot be checked; use an ES module`);
  }
  const actual = sha256Of(source instanceof ArrayBuffer ? new Uint8Array(source) : source);
  if (actual !== expected) throw new Error(`the entry changed while it was loaded: ${actual}`);
  return result;
}
