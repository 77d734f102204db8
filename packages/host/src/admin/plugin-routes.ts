// Plugins over HTTP: what there is, and switching them.

import { Type } from '@datawarehouse/sdk';
import type { RouteDefinition } from '@datawarehouse/sdk';
import type { PluginAdmin } from '../kernel/plugin-admin.js';

const Summary = Type.Object({
  id: Type.String(),
  name: Type.String(),
  version: Type.String(),
  package: Type.String(),
  state: Type.String(),
  required: Type.Boolean(),
  reason: Type.Optional(Type.String()),
  phase: Type.Optional(Type.String()),
  code: Type.Optional(Type.String()),
  health: Type.Optional(
    Type.Object({
      status: Type.String(),
      message: Type.Optional(Type.String()),
      data: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    }),
  ),
  provides: Type.Array(Type.String()),
  requires: Type.Array(Type.String()),
  crashes: Type.Integer(),
});
const Params = Type.Object({ id: Type.String({ minLength: 1, maxLength: 256 }) });

const ACTIONS = [
  ['enable', 'Start a plugin that is disabled, failed, blocked or quarantined'],
  ['disable', 'Stop a plugin, after those that depend on it'],
  ['reload', 'Stop a plugin, read it again from disk, and start it'],
] as const;

/** `GET /v1/plugins` and `POST /v1/plugins/:id/{enable,disable,reload}`. */
export function pluginRoutes(plugins: PluginAdmin): RouteDefinition[] {
  return [
    {
      method: 'GET',
      path: '/v1/plugins',
      summary: 'Every plugin with its state and health',
      responses: { 200: Type.Array(Summary) },
      handler: () => ({ body: plugins.list() }),
    },
    ...ACTIONS.map(([action, summary]): RouteDefinition => ({
      method: 'POST',
      path: `/v1/plugins/:id/${action}`,
      summary,
      params: Params,
      responses: { 200: Summary },
      handler: async ({ params }) => ({ body: await plugins[action](params['id'] ?? '') }),
    })),
  ];
}
