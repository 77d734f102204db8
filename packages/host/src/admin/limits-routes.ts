// Limits and metrics of every subsystem over HTTP.

import { Type } from '@datawarehouse/sdk';
import type { RouteDefinition } from '@datawarehouse/sdk';
import type { LimitsService } from '../limits/limits-service.js';

const Limit = Type.Object({
  value: Type.Number(),
  unit: Type.String(),
  min: Type.Number(),
  max: Type.Number(),
  default: Type.Number(),
  description: Type.String(),
});
const Limits = Type.Record(Type.String(), Limit);
const Values = Type.Record(Type.String(), Type.Number());
const Metrics = Type.Record(Type.String(), Type.Union([Type.Number(), Type.String()]));
const Params = Type.Object({ subsystem: Type.String({ minLength: 1, maxLength: 128 }) });

/** `GET /v1/limits`, `GET` and `PATCH /v1/limits/:subsystem`, `GET /v1/scaling`. */
export function limitsRoutes(limits: LimitsService): RouteDefinition[] {
  return [
    {
      method: 'GET',
      path: '/v1/limits',
      summary: 'Limits of every subsystem',
      responses: { 200: Type.Record(Type.String(), Limits) },
      handler: () => ({ body: limits.describeAll() }),
    },
    {
      method: 'GET',
      path: '/v1/limits/:subsystem',
      summary: 'Limits of one subsystem',
      params: Params,
      responses: { 200: Limits },
      handler: ({ params }) => ({ body: limits.describe(params['subsystem'] ?? '') }),
    },
    {
      method: 'PATCH',
      path: '/v1/limits/:subsystem',
      summary: 'Change limits of a subsystem, all or nothing; kept across restarts',
      params: Params,
      // Which limits there are and what they may be is for the subsystem to say (422), so any object passes here.
      body: Type.Record(Type.String(), Type.Unknown()),
      maxBodyBytes: 64 * 1024,
      responses: { 200: Type.Object({ applied: Values, previous: Values }) },
      // No signal: a change is not half made because its client has gone.
      handler: async ({ params, body }) => ({
        body: await limits.change(params['subsystem'] ?? '', body, 'http'),
      }),
    },
    {
      method: 'GET',
      path: '/v1/scaling',
      summary: 'Metrics of every subsystem',
      responses: { 200: Type.Record(Type.String(), Metrics) },
      handler: () => ({ body: limits.metrics() }),
    },
  ];
}
