// Calls a host's HTTP API for the commands. On node:http, so that a command does not wait for anything heavier to load.

import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import type { IncomingMessage, RequestOptions } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { DwError } from '@datawarehouse/sdk';
import { unreachable, UsageError } from './errors.js';

/** Options that every command has. */
export interface CommonOptions {
  readonly url: string;
  readonly json?: boolean;
  readonly token?: string;
}

/** What goes with a call. */
export interface CallOptions {
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly json?: unknown;
  /** Sent as it is. */
  readonly bytes?: Uint8Array;
  /** Milliseconds without a byte from the host until the call is given up. Default 130 000. */
  readonly timeoutMs?: number;
}

/** An answer that is no refusal. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

/** Longer than the server lets any handler take, so that its answer comes first. */
const DEFAULT_TIMEOUT_MS = 130_000;
/** More than any call answers; a stranger on the port must not fill the memory of the command. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

/** A client for one host. */
export class ApiClient {
  private readonly base: URL;
  private readonly agent: HttpAgent;

  /** @throws UsageError when the URL is none. */
  constructor(private readonly options: CommonOptions) {
    try {
      this.base = new URL(options.url);
    } catch {
      throw new UsageError(`--url "${options.url}" is not a URL; write http://host:port`);
    }
    if (this.base.protocol !== 'http:' && this.base.protocol !== 'https:') {
      throw new UsageError(`--url must begin with http:// or https://, not ${this.base.protocol}`);
    }
    const Agent = this.base.protocol === 'https:' ? HttpsAgent : HttpAgent;
    this.agent = new Agent({ keepAlive: true });
  }

  /** Lets go of kept connections, so that the command can end. */
  close(): void {
    this.agent.destroy();
  }

  /**
   * Makes a call and reads its answer.
   * @throws DwError with the code of the problem document; `host-unreachable`; `answer-invalid`.
   */
  async call(method: string, path: string, options: CallOptions = {}): Promise<Answer> {
    const response = await this.open(method, path, options);
    const body = await readAll(response);
    const status = response.statusCode ?? 0;
    if (status >= 400) throw refusal(method, path, status, body);
    return { status, headers: response.headers, body };
  }

  /** Makes a call and parses its JSON answer. @throws as {@link call}. */
  async json<T>(method: string, path: string, options: CallOptions = {}): Promise<T> {
    const { body } = await this.call(method, path, options);
    try {
      return JSON.parse(body.toString('utf8')) as T;
    } catch (thrown) {
      throw new DwError({
        code: 'answer-invalid',
        message: `${this.options.url} answered ${method} ${path} with something that is not JSON`,
        cause: thrown,
        hint: 'check that --url names a dw host',
      });
    }
  }

  /** Opens a stream of the host. @throws as {@link call}. */
  async stream(
    path: string,
    options: CallOptions = {},
    method: 'GET' | 'POST' = 'GET',
  ): Promise<IncomingMessage> {
    const response = await this.open(method, path, { timeoutMs: 0, ...options });
    const status = response.statusCode ?? 0;
    if (status >= 400) throw refusal(method, path, status, await readAll(response));
    return response;
  }

  private open(method: string, path: string, options: CallOptions): Promise<IncomingMessage> {
    const body =
      options.bytes ?? (options.json === undefined ? undefined : Buffer.from(JSON.stringify(options.json)));
    const url = new URL(this.base);
    const request: RequestOptions = {
      method,
      agent: this.agent,
      protocol: url.protocol,
      hostname: url.hostname.replace(/^\[|\]$/g, ''),
      port: url.port,
      // Not through URL, which would turn an encoded key such as "..%2F" or "." into another path.
      path: path + queryText(options.query),
      timeout: options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
      headers: {
        accept: 'application/json, */*',
        ...(this.options.token !== undefined && { authorization: `Bearer ${this.options.token}` }),
        ...(options.json !== undefined && { 'content-type': 'application/json' }),
        ...(body !== undefined && { 'content-length': String(body.byteLength) }),
        ...options.headers,
      },
    };
    const start = url.protocol === 'https:' ? httpsRequest : httpRequest;
    return new Promise((resolve, reject) => {
      const fail = (thrown: unknown): void => reject(unreachable(this.options.url, thrown));
      const sent = start(request, resolve);
      sent.on('error', fail);
      sent.on('timeout', () => sent.destroy(Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' })));
      sent.end(body);
    });
  }
}

function queryText(query: Readonly<Record<string, string | undefined>> | undefined): string {
  const pairs = Object.entries(query ?? {}).flatMap(([name, value]) =>
    value === undefined ? [] : [`${encodeURIComponent(name)}=${encodeURIComponent(value)}`],
  );
  return pairs.length === 0 ? '' : `?${pairs.join('&')}`;
}

async function readAll(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_ANSWER_BYTES) {
      response.destroy();
      throw new DwError({
        code: 'answer-invalid',
        message: `the answer is larger than ${MAX_ANSWER_BYTES} bytes`,
      });
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, length);
}

function refusal(method: string, path: string, status: number, body: Buffer): DwError {
  let problem: Record<string, unknown> = {};
  try {
    problem = JSON.parse(body.toString('utf8')) as Record<string, unknown>;
  } catch {
    // Not one of our hosts, or something between us and it: the status has to do.
  }
  const text = (name: string): string | undefined => {
    const value = problem[name];
    return typeof value === 'string' ? value : undefined;
  };
  const hint = text('hint');
  return new DwError({
    code: text('code') ?? 'refused',
    status,
    message: text('detail') ?? `${method} ${path} was answered with status ${status}`,
    retryable: problem['retryable'] === true,
    ...(hint !== undefined && { hint }),
    details: problem,
  });
}
