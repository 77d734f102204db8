// Describes the HTTP API as OpenAPI 3.1, from the routes that are registered at the moment of asking.

import { STATUS_CODES } from 'node:http';
import type { RouteDefinition } from '@datawarehouse/sdk';
import type { RouteEntry, RouteTable } from '../http/route-table.js';

type Json = Record<string, unknown>;

const BYTES = { 'application/octet-stream': { schema: { type: 'string', format: 'binary' } } };

const PROBLEM_SCHEMA = {
  type: 'object',
  required: ['type', 'title', 'status', 'detail', 'code', 'retryable'],
  properties: {
    type: { type: 'string' },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string' },
    code: { type: 'string', description: 'Stable; programs match on it' },
    retryable: { type: 'boolean' },
    hint: { type: 'string' },
    details: { type: 'object' },
  },
};

function content(schema: unknown): Json {
  return schema === 'bytes' ? BYTES : { 'application/json': { schema } };
}

/** `/v1/things/:id` → `/v1/things/{id}`; a final `*` → what the route calls it. */
function template({ path, restName }: RouteDefinition): string {
  return path.replaceAll(/:([A-Za-z][A-Za-z0-9_]*)/g, '{$1}').replace(/\*$/, `{${restName ?? 'rest'}}`);
}

function parameters(route: RouteDefinition): Json[] {
  const { params, query } = route;
  const pathSchemas = (params?.['properties'] ?? {}) as Record<string, unknown>;
  const names = [...template(route).matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? '');
  const querySchemas = (query?.['properties'] ?? {}) as Record<string, unknown>;
  const required = (query?.['required'] ?? []) as readonly string[];
  return [
    ...names.map((name) => ({
      name,
      in: 'path',
      required: true,
      schema: pathSchemas[name] ?? { type: 'string' },
    })),
    ...Object.entries(querySchemas).map(([name, schema]) => ({
      name,
      in: 'query',
      required: required.includes(name),
      schema,
    })),
  ];
}

function operation({ owner, route }: RouteEntry): Json {
  const responses = Object.fromEntries(
    Object.entries(route.responses ?? { 200: {} }).map(([status, schema]: [string, unknown]) => [
      status,
      { description: STATUS_CODES[Number(status)] ?? status, content: content(schema) },
    ]),
  );
  const parameterList = parameters(route);
  return {
    summary: route.summary,
    operationId: `${route.method.toLowerCase()} ${route.path}`.replaceAll(/[^A-Za-z0-9]+/g, '_'),
    tags: [owner],
    ...(parameterList.length > 0 && { parameters: parameterList }),
    ...(route.body !== undefined && { requestBody: { required: true, content: content(route.body) } }),
    responses: {
      ...responses,
      default: {
        description: 'Refused or failed',
        content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    },
  };
}

/** The description of these routes. */
export function describeApi(entries: readonly RouteEntry[], version: string): Json {
  const paths: Record<string, Json> = {};
  for (const entry of entries) {
    const path = (paths[template(entry.route)] ??= {});
    path[entry.route.method.toLowerCase()] = operation(entry);
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'DataWarehouse Host',
      version,
      description:
        'The HTTP API of this node with the plugins that are active now. Tags name who serves a call.',
    },
    paths,
    components: {
      schemas: { Problem: PROBLEM_SCHEMA },
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
    },
  };
}

/** `GET /openapi.json`. */
export function openApiRoute(routes: RouteTable, version: string): RouteDefinition {
  return {
    method: 'GET',
    path: '/openapi.json',
    summary: 'This description',
    handler: () => ({ body: describeApi(routes.list(), version) }),
  };
}
