// The routes of a plugin under test, called without HTTP: the same matching, decoding, checking and problem documents
// as the host's, with no socket.

import { KindGuard } from '@sinclair/typebox';
import type { TSchema } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { isDwError } from '../errors/index.js';
import type { DwError } from '../errors/index.js';
import type { HttpMethod, RouteDefinition, RouteResponse } from '../http/index.js';
import type { RouteRegistry } from '../plugin/index.js';
import { contextErrors, requestErrors } from './errors.js';

const DEFAULT_MAX_BODY_BYTES = 1024 * 1024;

/** What a test sends. */
export interface TestRequest {
  /** JSON, or bytes for a route whose body is `bytes`. */
  readonly body?: unknown;
  readonly query?: Readonly<Record<string, string>>;
  /** Names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** What a test gets back. */
export interface TestResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /**
   * What a client would see: parsed JSON, text or bytes. A problem document `{code, status, detail, retryable, …}`
   * when the route refused.
   */
  readonly body: unknown;
  readonly stream: AsyncIterable<string | Uint8Array> | undefined;
}

/** Routes that were added and not taken away. */
export class TestRoutes implements RouteRegistry {
  private readonly routes = new Map<string, RouteDefinition>();

  constructor(private readonly pluginId: string) {}

  /** `GET /v1/things/:id` for each route. */
  get registered(): readonly string[] {
    return [...this.routes.keys()];
  }

  add(route: RouteDefinition): Disposable {
    const key = `${route.method} ${route.path}`;
    if (this.routes.has(key)) throw contextErrors.routeTaken(this.pluginId, route.method, route.path);
    this.routes.set(key, route);
    return {
      [Symbol.dispose]: () => {
        if (this.routes.get(key) === route) this.routes.delete(key);
      },
    };
  }

  /** Calls a route. Never rejects for what the route does: a failure is an answer with its status. */
  async request(method: HttpMethod, target: string, request: TestRequest = {}): Promise<TestResponse> {
    try {
      return rendered(await this.dispatch(method, target, request));
    } catch (thrown) {
      return problem(isDwError(thrown) ? thrown : requestErrors.internal(thrown));
    }
  }

  private async dispatch(method: HttpMethod, target: string, request: TestRequest): Promise<RouteResponse> {
    const url = new URL(target, 'http://test');
    const found = this.find(method, url.pathname);
    if (found === undefined) throw requestErrors.notFound(method, url.pathname);
    const { route, params } = found;
    route.admit?.();
    const query = { ...Object.fromEntries(url.searchParams), ...request.query };
    if (route.params !== undefined) check('path', route.params, params);
    if (route.query !== undefined) check('query', route.query, query);
    return route.handler({
      params,
      query,
      headers: { ...request.headers },
      body: receivedBody(route, request.body),
      signal: request.signal ?? new AbortController().signal,
    });
  }

  /** The route with the longest fixed beginning wins, as in any router. */
  private find(
    method: HttpMethod,
    path: string,
  ): { readonly route: RouteDefinition; readonly params: Readonly<Record<string, string>> } | undefined {
    const specific = [...this.routes.values()]
      .filter((route) => route.method === method)
      .sort((a, b) => fixedLength(b.path) - fixedLength(a.path));
    for (const route of specific) {
      const params = matchPath(route.path, path);
      if (params !== undefined) return { route, params };
    }
    return undefined;
  }
}

function fixedLength(path: string): number {
  const variable = path.search(/[:*]/);
  return variable === -1 ? Number.MAX_SAFE_INTEGER : variable;
}

function matchPath(pattern: string, path: string): Readonly<Record<string, string>> | undefined {
  const wanted = pattern.split('/');
  const given = path.split('/');
  const params: Record<string, string> = {};
  for (const [i, part] of wanted.entries()) {
    if (part === '*') {
      params['*'] = decodeURIComponent(given.slice(i).join('/'));
      return given.length > i ? params : undefined;
    }
    const text = given[i];
    if (text === undefined) return undefined;
    if (part.startsWith(':')) params[part.slice(1)] = decodeURIComponent(text);
    else if (part !== text) return undefined;
  }
  return wanted.length === given.length ? params : undefined;
}

/** The body as it arrives after a trip over the wire. */
function receivedBody(route: RouteDefinition, body: unknown): unknown {
  const maximum =
    typeof route.maxBodyBytes === 'function'
      ? route.maxBodyBytes()
      : (route.maxBodyBytes ?? DEFAULT_MAX_BODY_BYTES);
  if (route.body === undefined) return undefined;
  const bytes = body instanceof Uint8Array ? Buffer.from(body) : Buffer.from(JSON.stringify(body) ?? '');
  if (bytes.length > maximum) throw requestErrors.bodyTooLarge(maximum);
  if (route.body === 'bytes') return bytes;
  const parsed: unknown = bytes.length === 0 ? undefined : JSON.parse(bytes.toString());
  check('body', route.body, parsed);
  return parsed;
}

/** Schemas that typebox did not make (plain JSON Schema) are the host's to check; here they pass. */
function check(where: string, schema: TSchema, value: unknown): void {
  if (!KindGuard.IsKind(schema) || Value.Check(schema, value)) return;
  const issues = [...Value.Errors(schema, value)].slice(0, 5);
  throw requestErrors.invalid(
    where,
    issues.map((issue) => `${issue.path === '' ? 'it' : issue.path}: ${issue.message}`),
  );
}

function rendered(response: RouteResponse): TestResponse {
  const { body } = response;
  const plain = body instanceof Uint8Array || typeof body === 'string' || body === undefined;
  return {
    status: response.status ?? 200,
    headers: response.headers ?? {},
    body: plain ? body : (JSON.parse(JSON.stringify(body)) as unknown),
    stream: response.stream,
  };
}

function problem(error: DwError): TestResponse {
  const { status, code, message, retryable, hint, details, retryAfterMs } = error;
  const headers: Record<string, string> = { 'content-type': 'application/problem+json' };
  if (retryAfterMs !== undefined)
    headers['retry-after'] = String(Math.max(1, Math.ceil(retryAfterMs / 1_000)));
  return {
    status,
    headers,
    body: { status, code, detail: message, retryable, ...(hint && { hint }), ...(details && { details }) },
    stream: undefined,
  };
}
