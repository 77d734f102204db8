// POST /v1/resilience/policies/{name}/try: makes calls of a URL under a policy and streams what becomes of them.
//
// It makes this node call what the asker names, which reaches what the asker may not reach by himself. So it is for who
// owns the node: the holder of its token, or, where it has none, whoever is on the same machine. It never follows
// redirects, sends no headers of the asker's, and gives nothing back of an answer but its status.

import { isIPv4 } from 'node:net';
import type { Clock, NodeInfo, RouteDefinition } from '@datawarehouse/sdk';
import { Type } from '@datawarehouse/sdk';
import { tryNotAllowed, tryRunsExhausted, tryUrlInvalid } from '../errors.js';
import type { ResilienceService } from '../policy/resilience-service.js';
import type { TryRequest } from './try-request.js';
import { requestByFetch } from './try-request.js';
import type { TryEvent } from './try-run.js';
import { TryRun } from './try-run.js';

/** What the route needs. */
export interface TryRouteParts {
  readonly service: ResilienceService;
  readonly clock: Clock;
  readonly node: Pick<NodeInfo, 'httpUrl' | 'client'>;
  /** Runs at once. */
  readonly maxRuns: () => number;
  /** Default: by `fetch`. */
  readonly request?: TryRequest;
}

const Body = Type.Object(
  {
    url: Type.String({ minLength: 1, maxLength: 2_048, description: 'http or https' }),
    method: Type.Union([Type.Literal('GET'), Type.Literal('HEAD')], { default: 'GET' }),
    calls: Type.Integer({ minimum: 1, maximum: 10_000, default: 50 }),
    concurrency: Type.Integer({ minimum: 1, maximum: 64, default: 1 }),
    intervalMs: Type.Integer({
      minimum: 0,
      maximum: 60_000,
      default: 200,
      description: 'Between the end of a call and the next one in its place',
    }),
    key: Type.Optional(
      Type.String({
        maxLength: 512,
        description:
          'Key of the policy that is used; default "try:" and the host, so that no other calls are touched',
      }),
    ),
  },
  { additionalProperties: false },
);

interface Asked {
  readonly url: string;
  readonly method?: 'GET' | 'HEAD';
  readonly calls?: number;
  readonly concurrency?: number;
  readonly intervalMs?: number;
  readonly key?: string;
}

/** The route that tries a policy. */
export function tryRoute(parts: TryRouteParts): RouteDefinition {
  const { service, clock, node, maxRuns, request = requestByFetch } = parts;
  let runs = 0;
  return {
    method: 'POST',
    path: '/v1/resilience/policies/:name/try',
    summary:
      'Make calls of a URL under a policy, for who owns this node. Server-sent events: start, call, circuit, done; data is JSON. It ends after 5 minutes at the latest',
    params: Type.Object({ name: Type.String({ minLength: 1, maxLength: 128 }) }),
    body: Body,
    responses: { 200: Type.String() },
    handler: ({ params, body, signal }) => {
      if (!isOwnersOnly(node)) throw tryNotAllowed(node.httpUrl);
      const asked = body as Asked;
      const url = checkedUrl(asked.url);
      const most = maxRuns();
      if (runs >= most) throw tryRunsExhausted(most);
      const run = new TryRun(
        { service, clock, request },
        {
          policy: params['name'] ?? '',
          url: url.href,
          method: asked.method ?? 'GET',
          calls: asked.calls ?? 50,
          concurrency: asked.concurrency ?? 1,
          intervalMs: asked.intervalMs ?? 200,
          key: asked.key ?? `try:${url.host}`,
        },
        signal,
      );
      runs++;
      void run.ended.finally(() => runs--);
      return { stream: asServerSentEvents(run.events()) };
    },
  };
}

/** Whether only the owner of the node reaches its API. */
function isOwnersOnly({ httpUrl, client }: TryRouteParts['node']): boolean {
  if (client?.authorize !== undefined) return true;
  const { hostname } = new URL(httpUrl);
  const isLoopback =
    hostname === 'localhost' || hostname === '[::1]' || (isIPv4(hostname) && hostname.startsWith('127.'));
  return isLoopback;
}

/** @throws DwError `try-url-invalid`. */
function checkedUrl(text: string): URL {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw tryUrlInvalid(text, 'it is no URL');
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw tryUrlInvalid(text, `only http and https are allowed, not ${url.protocol}`);
  }
  if (url.username !== '' || url.password !== '') {
    throw tryUrlInvalid(text.slice(0, 8), 'it holds a user name or a password, which would be shown');
  }
  return url;
}

async function* asServerSentEvents(events: AsyncIterable<TryEvent>): AsyncGenerator<string> {
  for await (const event of events) {
    yield `event: ${event.kind}\ndata: ${JSON.stringify(event)}\n\n`;
  }
}
