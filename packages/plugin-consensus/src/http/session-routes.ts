// Sessions over HTTP: for clients that retry for long and must not write twice.

import type { RouteDefinition } from '@datawarehouse/sdk';
import { Type } from '@datawarehouse/sdk';
import type { KeyValueService } from '../groups/key-value-service.js';
import { requestInvalid } from '../errors.js';

const Opened = Type.Object({ session: Type.Integer(), group: Type.String() });
const Target = Type.Object(
  {
    key: Type.Optional(Type.String({ minLength: 1, maxLength: 1_024, description: 'a key of the group' })),
    group: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
  },
  { additionalProperties: false },
);
const Params = Type.Object({
  group: Type.String({ minLength: 1, maxLength: 64 }),
  session: Type.String({ pattern: '^[0-9]{1,16}$' }),
});

/** The routes of sessions. */
export function sessionRoutes(store: KeyValueService, admitWrite: () => void): readonly RouteDefinition[] {
  const admit = (): void => {
    store.admit();
    admitWrite();
  };
  return [
    {
      method: 'POST',
      path: '/v1/sessions',
      summary:
        'Open a session, in which writes with Idempotency-Key: session/GROUP/SESSION/SEQUENCE apply once',
      body: Target,
      responses: { 200: Opened },
      admit,
      handler: async ({ body }) => {
        const { key, group } = body as { readonly key?: string; readonly group?: string };
        if ((key === undefined) === (group === undefined)) {
          throw requestInvalid('A session belongs to one group', 'send {"key": "…"} or {"group": "…"}');
        }
        const target = key === undefined ? { group: group as string } : { key };
        return { body: await store.openSessionAsync(target) };
      },
    },
    {
      method: 'DELETE',
      path: '/v1/sessions/:group/:session',
      summary: 'Close a session that is not needed any more',
      params: Params,
      admit,
      handler: async ({ params }) => {
        const session = { group: params['group'] ?? '', session: Number(params['session']) };
        await store.closeSessionAsync(session);
        return { body: session };
      },
    },
  ];
}
