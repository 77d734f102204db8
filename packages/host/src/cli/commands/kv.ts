// `dw kv`: the replicated key-value store. Values pass through byte for byte.

import type { Answer, ApiClient, CommonOptions } from '../api-client.js';
import { withClient } from '../common-options.js';
import { UsageError } from '../errors.js';
import { printJson, printLine, tableText, write } from '../output.js';

/** Conditions and identity of a write. */
export interface WriteOptions extends CommonOptions {
  readonly ifVersion?: number;
  readonly ifAbsent?: boolean;
  readonly idempotencyKey?: string;
}

/** What `dw kv list` is asked for. */
export interface ListOptions extends CommonOptions {
  readonly prefix?: string;
  readonly after?: string;
  readonly limit?: number;
}

interface Page {
  readonly items: readonly { readonly key: string; readonly version: number }[];
  readonly next?: string | null;
}

interface Written {
  readonly version?: number;
  readonly group?: string;
}

const PAGE = 1_000;
/** More than any host takes, and little enough for memory: a pipe without end is refused, not swallowed. */
const MAX_STDIN_BYTES = 64 * 1024 * 1024;

function pathOf(key: string): string {
  if (key === '') throw new UsageError('the key is empty; keys have 1 to 1024 bytes');
  // "." and ".." stand for folders in a URL, and encodeURIComponent leaves them as they are.
  const encoded = /^\.{1,2}$/.test(key) ? key.replaceAll('.', '%2E') : encodeURIComponent(key);
  return `/v1/kv/${encoded}`;
}

async function readStandardInput(): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_STDIN_BYTES)
      throw new UsageError(`standard input has more than ${MAX_STDIN_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, length);
}

function conditions(options: WriteOptions): Record<string, string> {
  if (options.ifVersion !== undefined && options.ifAbsent === true) {
    throw new UsageError('--if-version and --if-absent exclude each other');
  }
  return {
    ...(options.ifVersion !== undefined && { 'if-match': `"${options.ifVersion}"` }),
    ...(options.ifAbsent === true && { 'if-none-match': '*' }),
    ...(options.idempotencyKey !== undefined && { 'idempotency-key': options.idempotencyKey }),
  };
}

function versionOf(answer: Answer): number | undefined {
  const match = /^(?:W\/)?"(\d+)"$/.exec(answer.headers.etag ?? '');
  return match === null ? undefined : Number(match[1]);
}

/** `dw kv get`. On a terminal a line break follows a value without one; elsewhere it is the value and nothing else. */
export async function get(key: string, options: CommonOptions & { readonly stale?: boolean }): Promise<void> {
  const query = { consistency: options.stale === true ? 'stale' : undefined };
  await withClient(options, async (client) => {
    const answer = await client.call('GET', pathOf(key), { query });
    if (options.json === true) {
      await printJson({ key, version: versionOf(answer), base64: answer.body.toString('base64') });
      return;
    }
    await write(answer.body);
    if (process.stdout.isTTY && answer.body.at(-1) !== 0x0a) await write('\n');
  });
}

async function putValue(
  client: ApiClient,
  key: string,
  value: string,
  headers: Record<string, string>,
  json: boolean | undefined,
): Promise<void> {
  const bytes = value === '-' ? await readStandardInput() : Buffer.from(value);
  const written = await client.json<Written>('PUT', pathOf(key), {
    bytes,
    headers: { 'content-type': 'application/octet-stream', ...headers },
  });
  await (json === true ? printJson(written) : printLine(`version ${written.version} in ${written.group}`));
}

/** `dw kv put`. */
export async function put(key: string, value: string, options: WriteOptions): Promise<void> {
  const headers = conditions(options);
  await withClient(options, (client) => putValue(client, key, value, headers, options.json));
}

/** `dw kv cas`. */
export async function compareAndSwap(
  key: string,
  version: string,
  value: string,
  options: WriteOptions,
): Promise<void> {
  const absent = version === 'absent' || version === '0';
  if (!absent && !/^[1-9]\d{0,15}$/.test(version)) {
    throw new UsageError(`"${version}" is not a version: it must be a whole number, or "absent"`);
  }
  const condition = absent ? { ifAbsent: true } : { ifVersion: Number(version) };
  const headers = conditions({ ...options, ...condition });
  await withClient(options, (client) => putValue(client, key, value, headers, options.json));
}

/** `dw kv delete`. */
export async function remove(key: string, options: WriteOptions): Promise<void> {
  const headers = conditions(options);
  await withClient(options, async (client) => {
    const answer = await client.json<Written>('DELETE', pathOf(key), { headers });
    await (options.json === true ? printJson(answer) : printLine(`deleted ${key}`));
  });
}

/** `dw kv list`, page by page, so that a large store is never in memory here. */
export async function list(options: ListOptions): Promise<void> {
  await withClient(options, async (client) => {
    let after = options.after;
    let left = options.limit ?? Infinity;
    const all: Page['items'][number][] = [];
    for (;;) {
      const page = await client.json<Page>('GET', '/v1/kv', {
        query: { prefix: options.prefix, after, limit: String(Math.min(PAGE, left)) },
      });
      left -= page.items.length;
      if (options.json === true) all.push(...page.items);
      else if (page.items.length > 0) {
        const text = tableText(
          ['key', 'version'],
          page.items.map(({ key, version }) => [key, version]),
        );
        // The columns are named once, above the first page.
        await write(after === options.after ? text : text.slice(text.indexOf('\n') + 1));
      }
      const { next } = page;
      if (left <= 0 || next === undefined || next === null || page.items.length === 0) break;
      after = next;
    }
    if (options.json === true) await printJson({ items: all });
  });
}
