// What a plugin says of itself before any of its code runs.

import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';

const PluginId = Type.String({
  pattern: '^[a-z0-9][a-z0-9-]*(\\.[a-z0-9][a-z0-9-]*)*$',
  maxLength: 128,
  description: 'Reverse-domain id, such as com.example.counter',
});
const ServiceId = Type.String({ minLength: 1, maxLength: 128 });
const TopicPattern = Type.String({ minLength: 1, maxLength: 256 });

const ManifestLimit = Type.Object(
  {
    unit: Type.String(),
    min: Type.Number(),
    max: Type.Number(),
    default: Type.Number(),
    description: Type.String(),
    integer: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
);

/**
 * Schema of the `datawarehouse` key of a plugin's `package.json`, or of the whole of `dw-plugin.json` beside it.
 */
export const PluginManifestSchema = Type.Object(
  {
    id: PluginId,
    /** Semver range of the SDK it was built for, such as `^1.0.0`. */
    sdk: Type.String({ minLength: 1, maxLength: 64 }),
    /** Module to load, relative to the manifest. It exports `plugin`: a class or a factory. */
    entry: Type.String({ minLength: 1, maxLength: 256 }),
    /** Ids of the service tokens it provides. */
    provides: Type.Optional(Type.Array(ServiceId, { uniqueItems: true })),
    /** Ids of the service tokens it needs; a plugin that provides each is started before it. */
    requires: Type.Optional(Type.Array(ServiceId, { uniqueItems: true })),
    /**
     * Ids of the service tokens it uses when somebody provides them, and does without otherwise. Those who provide them
     * are started before it and stopped after it where that is possible; it is asked for with `services.tryGet`, which
     * may find a service later than at the start, or no more.
     */
    optional: Type.Optional(Type.Array(ServiceId, { uniqueItems: true })),
    /** Topics it may publish (or send) to and subscribe (or respond) to; patterns allowed. Nothing else is permitted. */
    topics: Type.Optional(
      Type.Object(
        {
          publish: Type.Optional(Type.Array(TopicPattern)),
          subscribe: Type.Optional(Type.Array(TopicPattern)),
        },
        { additionalProperties: false },
      ),
    ),
    /**
     * How a failure that nobody caught is traced to this plugin when it did not come out of a call that the host made.
     * - `context` (default): by the asynchronous context in which the plugin's code began, however far it has gone.
     *   Before Node.js 24 each promise of the process costs more for that, from when the first such plugin is loaded.
     * - `stack`: by the plugin's code in the stack of the error. What has none (a value that is no error, an event of a
     *   socket that nobody listens to) belongs to no plugin, and is the end of the host. For plugins that make very many
     *   promises.
     */
    attribution: Type.Optional(Type.Union([Type.Literal('context'), Type.Literal('stack')])),
    /** JSON Schema of its configuration. */
    configSchema: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    /** Limits it has, shown before it is loaded. */
    limits: Type.Optional(Type.Record(Type.String(), ManifestLimit)),
    /** Old plugin ids that load this plugin, with a deprecation warning. Values are configuration for that id. */
    replaces: Type.Optional(Type.Record(PluginId, Type.Record(Type.String(), Type.Unknown()))),
    /** Integrity of the entry file: `sha256-<base64>`. Checked before it is loaded. */
    integrity: Type.Optional(Type.String({ pattern: '^sha256-[A-Za-z0-9+/]{43}=$' })),
  },
  { additionalProperties: false },
);

/** A checked plugin manifest. */
export type PluginManifest = Static<typeof PluginManifestSchema>;
