// Puts as many requests at a host as there are clients, each sending its next one when it has its answer.

import { Agent, request } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { LatencyHistogram } from './latency-histogram.js';

/** What the load is. */
export interface LoadOptions {
  readonly url: string;
  readonly token?: string;
  readonly clients: number;
  readonly seconds: number;
  readonly valueBytes: number;
}

/** What came of it. */
export interface LoadResult {
  readonly latency: LatencyHistogram;
  readonly seconds: number;
  /** Refusals and failures by code. */
  readonly errors: ReadonlyMap<string, number>;
}

/** Keys are written over and over, so that a long run does not fill the store. */
const KEYS = 10_000;
/** More kinds of failure than there are codes; the rest is counted together. */
const MAX_ERROR_KINDS = 100;
/** A client that is refused at once waits a little, as a sane one does. */
const REFUSED_PAUSE_MS = 20;
const REQUEST_MS = 30_000;

interface Outcome {
  readonly ok: boolean;
  readonly code: string;
}

function codeOf(status: number | undefined, body: string): string {
  try {
    const { code } = JSON.parse(body) as { code?: unknown };
    if (typeof code === 'string') return code;
  } catch {
    // Not a problem document; the status says enough.
  }
  return `status-${status}`;
}

/** Runs the load. `progress` is told the share done and the answers so far, a few times a second. */
export async function runLoad(
  options: LoadOptions,
  progress: (share: number, answered: number) => void,
  signal?: AbortSignal,
): Promise<LoadResult> {
  const base = new URL(options.url);
  const secure = base.protocol === 'https:';
  const agent = new (secure ? HttpsAgent : Agent)({ keepAlive: true, maxSockets: options.clients });
  const send = secure ? httpsRequest : request;
  const body = Buffer.alloc(options.valueBytes, 'v');
  const headers = {
    'content-type': 'application/octet-stream',
    'content-length': String(body.length),
    ...(options.token !== undefined && { authorization: `Bearer ${options.token}` }),
  };
  const latency = new LatencyHistogram();
  const errors = new Map<string, number>();
  const startedAt = performance.now();
  const endsAt = startedAt + options.seconds * 1_000;
  const run = Math.random().toString(36).slice(2, 8);
  let next = 0;

  const put = (): Promise<Outcome> =>
    new Promise((resolve) => {
      const path = `/v1/kv/bench-${run}-${next++ % KEYS}`;
      const { hostname, port } = base;
      const sent = send(
        { method: 'PUT', agent, hostname, port, path, headers, timeout: REQUEST_MS },
        (answer) => {
          let text = '';
          answer.on('data', (chunk: Buffer) => {
            if (text.length < 4_096) text += chunk.toString('utf8');
          });
          answer.on('end', () => {
            const ok = answer.statusCode === 200;
            resolve({ ok, code: ok ? '' : codeOf(answer.statusCode, text) });
          });
          answer.on('error', (error: NodeJS.ErrnoException) =>
            resolve({ ok: false, code: error.code ?? 'broken-off' }),
          );
        },
      );
      sent.on('timeout', () => sent.destroy(Object.assign(new Error('late'), { code: 'ETIMEDOUT' })));
      sent.on('error', (error: NodeJS.ErrnoException) =>
        resolve({ ok: false, code: error.code ?? 'failed' }),
      );
      sent.end(body);
    });

  const client = async (): Promise<void> => {
    while (performance.now() < endsAt && signal?.aborted !== true) {
      const at = performance.now();
      const { ok, code } = await put();
      if (ok) {
        latency.record(performance.now() - at);
        continue;
      }
      const kind = errors.has(code) || errors.size < MAX_ERROR_KINDS ? code : 'other';
      errors.set(kind, (errors.get(kind) ?? 0) + 1);
      await new Promise((resolve) => setTimeout(resolve, REFUSED_PAUSE_MS));
    }
  };
  const timer = setInterval(
    () => progress(Math.min(1, (performance.now() - startedAt) / (endsAt - startedAt)), latency.count),
    200,
  );
  try {
    await Promise.all(Array.from({ length: options.clients }, client));
  } finally {
    clearInterval(timer);
    agent.destroy();
  }
  return { latency, errors, seconds: (performance.now() - startedAt) / 1_000 };
}
