// The policies over HTTP: what an operator sees of them, and what can be done to them.

import type { Clock, RouteDefinition } from '@datawarehouse/sdk';
import { Type } from '@datawarehouse/sdk';
import { policyNameMismatch } from '../errors.js';
import { MAX_DOCUMENT_CHARACTERS } from '../policy/document.js';
import type { PolicyBook } from '../policy/document-book.js';
import { explainPolicy } from '../policy/explain.js';
import type { IsolationBook } from '../policy/isolation-book.js';
import { lintPolicy } from '../policy/linter.js';
import type { ResilienceService } from '../policy/resilience-service.js';
import { summaryOf } from './policy-summary.js';

/** What the routes need. */
export interface PolicyRouteParts {
  readonly service: ResilienceService;
  readonly book: PolicyBook;
  readonly isolations: IsolationBook;
  readonly clock: Clock;
}

const Params = Type.Object({ name: Type.String({ minLength: 1, maxLength: 128 }) });
const Key = Type.String({ maxLength: 512, description: 'One key of the policy; left out: all of them' });
const Order = Type.Object(
  {
    key: Type.Optional(Key),
    reason: Type.Optional(
      Type.String({ minLength: 1, maxLength: 256, description: 'Shown beside the change' }),
    ),
  },
  { additionalProperties: false },
);

const Document = Type.Record(Type.String(), Type.Unknown(), {
  description:
    'The document: {name, description?, adaptive?, strategies}; all that is wrong with it comes back at once',
});

const BASE = '/v1/resilience/policies';
/** Who asks, in the log. Over HTTP that is whoever has the node's token. */
const BY = 'http';
/** A document, in the bytes that its characters may need. */
const MAX_BODY_BYTES = 4 * MAX_DOCUMENT_CHARACTERS;

/** The routes of the policies, but for trying one. */
export function policyRoutes(parts: PolicyRouteParts): readonly RouteDefinition[] {
  return [...readingRoutes(parts), ...changingRoutes(parts), ...orderRoutes(parts)];
}

function readingRoutes({ service, book, clock }: PolicyRouteParts): readonly RouteDefinition[] {
  return [
    {
      method: 'GET',
      path: BASE,
      summary: 'The resilience policies of this node, with what is counted of each',
      handler: () => ({
        body: {
          policies: service.policies().map((policy) => summaryOf(policy, book.kept(policy.name))),
          unusable: Object.fromEntries(book.problems),
        },
      }),
    },
    {
      method: 'GET',
      path: `${BASE}/:name`,
      summary: 'A policy: its strategies with options and counters, and at most 100 of its keys',
      params: Params,
      query: Type.Object({ key: Type.Optional(Key) }),
      handler: ({ params, query }) => {
        const { name, document, statistics, keyCount, keys } = service.show(nameOf(params), query['key']);
        const { source, by, at } = book.kept(name);
        const policy = service.policy(name);
        const { circuit } = policy.state();
        const counters = statistics.strategies;
        return {
          body: {
            name,
            ...(document.description === undefined ? {} : { description: document.description }),
            source,
            setBy: by,
            setAt: new Date(at).toISOString(),
            readAt: new Date(clock.wallTime()).toISOString(),
            circuit: circuit ?? null,
            document,
            statistics: { ...statistics, strategies: undefined },
            // As in force: thresholds that move by themselves may have left the document.
            strategies: policy.strategies.map(({ options }, place) => ({
              name: counters[place]?.name,
              type: options.type,
              options,
              counters: counters[place]?.counters ?? {},
            })),
            keyCount,
            keys,
            findings: lintPolicy(document),
          },
        };
      },
    },
    {
      method: 'GET',
      path: `${BASE}/:name/explain`,
      summary: 'What a policy does to a call, and the most that a call can cost in time and attempts',
      params: Params,
      handler: ({ params }) => ({ body: explainPolicy(service.policy(nameOf(params)).document) }),
    },
    {
      method: 'POST',
      path: '/v1/resilience/explain',
      summary: 'Check a policy and explain it, without setting it',
      body: Document,
      maxBodyBytes: MAX_BODY_BYTES,
      handler: ({ body }) => ({ body: explainPolicy(book.check(body)) }),
    },
  ];
}

function changingRoutes({ book }: PolicyRouteParts): readonly RouteDefinition[] {
  return [
    {
      method: 'PUT',
      path: `${BASE}/:name`,
      summary: 'Set a policy; one that is there is changed in place and keeps its state',
      params: Params,
      body: Document,
      maxBodyBytes: MAX_BODY_BYTES,
      handler: async ({ params, body }) => {
        const name = nameOf(params);
        const given = body as Readonly<Record<string, unknown>>;
        if (given['name'] !== undefined && given['name'] !== name) {
          throw policyNameMismatch(name, given['name']);
        }
        return { body: await book.set({ ...given, name }, BY) };
      },
    },
    {
      method: 'DELETE',
      path: `${BASE}/:name`,
      summary: 'Remove what was set; the policy of the configuration or of this version holds again',
      params: Params,
      handler: async ({ params }) => ({ body: await book.remove(nameOf(params), BY) }),
    },
  ];
}

function orderRoutes({ service, isolations }: PolicyRouteParts): readonly RouteDefinition[] {
  const order = (action: 'isolate' | 'reset', summary: string): RouteDefinition => ({
    method: 'POST',
    path: `${BASE}/:name/${action}`,
    summary,
    params: Params,
    body: Order,
    handler: async ({ params, body }) => {
      const name = nameOf(params);
      const { key, reason = 'by hand' } = body as { readonly key?: string; readonly reason?: string };
      await isolations[action](name, key, reason, BY);
      const { circuit } = service.policy(name).state();
      return { body: { policy: name, key: key ?? null, circuit: circuit ?? null } };
    },
  });
  return [
    order(
      'isolate',
      'Open the circuit breakers of a key or of all, until they are reset, also across restarts',
    ),
    order('reset', 'Close the circuit breakers of a key or of all'),
  ];
}

function nameOf(params: Readonly<Record<string, string>>): string {
  return params['name'] ?? '';
}
