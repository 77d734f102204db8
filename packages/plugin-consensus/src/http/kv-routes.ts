// The key-value store over HTTP. A write with an Idempotency-Key is applied once: under a key of the client's choice as
// long as the group remembers it (its last 100 000 such keys), under one that names a place in a session for ever.

import type { RouteDefinition, RouteRequest, RouteResponse } from '@datawarehouse/sdk';
import { Type } from '@datawarehouse/sdk';
import { keyInvalid, keyNotFound } from '../errors.js';
import type { KeyValueService } from '../groups/key-value-service.js';
import { identityOf } from './idempotency-key.js';
import { conditionOf, consistencyOf, etagOf, limitOf } from './conditions.js';

const WriteResult = Type.Object({ version: Type.Integer(), group: Type.String() });
const DeleteResult = Type.Object({ version: Type.Integer(), group: Type.String(), existed: Type.Boolean() });
const Page = Type.Object({
  items: Type.Array(Type.Object({ key: Type.String(), version: Type.Integer() })),
  next: Type.Union([Type.String(), Type.Null()]),
});
const Consistency = Type.Optional(
  Type.String({ description: '`linearizable` (default), or `stale` for what this node has' }),
);

/** The routes of the key-value store. */
export function keyValueRoutes(
  store: KeyValueService,
  maxValueBytes: () => number,
  admitWrite: () => void,
): readonly RouteDefinition[] {
  return [
    {
      method: 'PUT',
      path: '/v1/kv/*',
      restName: 'key',
      summary: 'Write a value, durably and replicated; If-Match and If-None-Match make it conditional',
      body: 'bytes',
      maxBodyBytes: maxValueBytes,
      responses: { 200: WriteResult },
      admit: () => {
        store.admit();
        admitWrite();
      },
      handler: async (request) => {
        const body = request.body instanceof Uint8Array ? request.body : new Uint8Array(0);
        const result = await store.putAsync(keyOf(request), body, writeOptions(request));
        return { headers: { etag: etagOf(result.version) }, body: result };
      },
    },
    {
      method: 'GET',
      path: '/v1/kv/*',
      restName: 'key',
      summary: 'Read a value, linearizably unless asked otherwise',
      query: Type.Object({ consistency: Consistency }),
      responses: { 200: 'bytes' },
      admit: () => store.admit(),
      handler: (request) => read(store, request),
    },
    {
      method: 'DELETE',
      path: '/v1/kv/*',
      restName: 'key',
      summary: 'Delete a key; If-Match makes it conditional',
      responses: { 200: DeleteResult },
      admit: () => {
        store.admit();
        admitWrite();
      },
      handler: async (request) => ({ body: await store.deleteAsync(keyOf(request), writeOptions(request)) }),
    },
    {
      method: 'GET',
      path: '/v1/kv',
      summary: 'List keys by prefix, in key order',
      query: Type.Object({
        prefix: Type.Optional(Type.String()),
        after: Type.Optional(Type.String({ description: 'the `next` of the page before' })),
        limit: Type.Optional(Type.String({ description: '1 to 1000, default 100' })),
        consistency: Consistency,
      }),
      responses: { 200: Page },
      admit: () => store.admit(),
      handler: (request) => list(store, request),
    },
  ];
}

async function read(store: KeyValueService, request: RouteRequest): Promise<RouteResponse> {
  const key = keyOf(request);
  const found = await store.getAsync(key, { consistency: consistencyOf(request.query) });
  if (found === undefined) throw keyNotFound(key);
  return {
    headers: { etag: etagOf(found.version), 'content-type': 'application/octet-stream' },
    body: found.value,
  };
}

async function list(store: KeyValueService, { query }: RouteRequest): Promise<RouteResponse> {
  const { prefix, after } = query;
  const limit = limitOf(query);
  const page = await store.listAsync(
    {
      ...(prefix === undefined ? {} : { prefix }),
      ...(after === undefined ? {} : { after }),
      ...(limit === undefined ? {} : { limit }),
    },
    { consistency: consistencyOf(query) },
  );
  return { body: { items: page.items, next: page.next ?? null } };
}

function keyOf(request: RouteRequest): string {
  const key = request.params['*'];
  if (key === undefined) throw keyInvalid('is missing from the path');
  return key;
}

function writeOptions({ headers }: RouteRequest) {
  const ifVersion = conditionOf(headers);
  return { ...(ifVersion === undefined ? {} : { ifVersion }), ...identityOf(headers['idempotency-key']) };
}
