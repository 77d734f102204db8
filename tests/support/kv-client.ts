// A client of the HTTP key-value store that says of each write what it may conclude: done, not done, or unknown.

import { Agent, request } from 'node:http';
import type { Operation, Outcome } from '../linearizability/model.js';

/** What an HTTP call answered. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

/** Makes one HTTP call with a time limit over keep-alive connections of `agent`. */
export function call(
  agent: Agent,
  url: string,
  options: {
    method?: string;
    headers?: Record<string, string>;
    body?: string | Buffer;
    timeoutMs?: number;
  } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      url,
      {
        agent,
        method: options.method ?? 'GET',
        headers: options.headers,
        signal: AbortSignal.timeout(options.timeoutMs ?? 5_000),
      },
      (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
        incoming.on('error', reject);
        incoming.on('end', () =>
          resolve({
            status: incoming.statusCode ?? 0,
            headers: incoming.headers,
            body: Buffer.concat(chunks),
          }),
        );
      },
    );
    outgoing.on('error', reject);
    outgoing.end(options.body);
  });
}

/** The outcome of an operation, or `refused` when it certainly did not happen. */
export type Attempt = Outcome | { readonly kind: 'refused'; readonly code: string };

function conditionHeaders(operation: Operation): Record<string, string> {
  if (operation.kind !== 'cas') return {};
  return operation.expected === 'absent'
    ? { 'if-none-match': '*' }
    : { 'if-match': `"${operation.expected}"` };
}

function problemCode(answer: Answer): string {
  try {
    return (JSON.parse(answer.body.toString()) as { code?: string }).code ?? `http-${answer.status}`;
  } catch {
    // A body that is no problem document: the status alone names the refusal.
    return `http-${answer.status}`;
  }
}

/** Performs one operation of the model against one node. */
export async function perform(
  agent: Agent,
  url: string,
  key: string,
  operation: Operation,
  options: { readonly idempotencyKey?: string; readonly timeoutMs?: number } = {},
): Promise<Attempt> {
  const method = { get: 'GET', put: 'PUT', cas: 'PUT', delete: 'DELETE' }[operation.kind];
  let answer: Answer;
  try {
    answer = await call(agent, `${url}/v1/kv/${encodeURIComponent(key)}`, {
      method,
      headers: {
        ...conditionHeaders(operation),
        ...(options.idempotencyKey === undefined ? {} : { 'idempotency-key': options.idempotencyKey }),
      },
      ...('value' in operation ? { body: operation.value } : {}),
      ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }),
    });
  } catch (error) {
    // Never connected: it did not happen. Anything later: it may have.
    if ((error as NodeJS.ErrnoException).code === 'ECONNREFUSED')
      return { kind: 'refused', code: 'ECONNREFUSED' };
    return { kind: 'unknown' };
  }
  const { status } = answer;
  if (operation.kind === 'get') {
    if (status === 200) {
      const version = Number(String(answer.headers.etag).replaceAll('"', ''));
      return { kind: 'read', value: answer.body.toString(), version };
    }
    if (status === 404) return { kind: 'read', value: undefined, version: undefined };
    return { kind: 'refused', code: problemCode(answer) };
  }
  if (status === 200) {
    return { kind: 'written', version: (JSON.parse(answer.body.toString()) as { version: number }).version };
  }
  const code = problemCode(answer);
  if (status === 412) return { kind: 'mismatch' };
  return code === 'outcome-unknown' ? { kind: 'unknown' } : { kind: 'refused', code };
}
