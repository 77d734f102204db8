// The schema of a node's configuration file.

import { Type } from '@datawarehouse/sdk';

const Port = Type.Integer({ minimum: 0, maximum: 65_535 });
const HostName = Type.String({ minLength: 1, maxLength: 255 });
const Milliseconds = Type.Integer({ minimum: 1, maximum: 3_600_000 });
const closed = { additionalProperties: false } as const;

/** Pattern of node ids and cluster ids. They become file names, metric labels and protocol fields. */
export const ID_PATTERN = '^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$';

const Id = Type.String({
  pattern: ID_PATTERN,
  description: '1 to 64 letters, digits, "_" or "-", beginning with a letter or digit',
});
const FileName = Type.String({ minLength: 1, maxLength: 4_096 });
const PeerTls = Type.Object({ cert: FileName, key: FileName, ca: FileName }, closed);
const HttpTls = Type.Object({ cert: FileName, key: FileName, ca: Type.Optional(FileName) }, closed);

const PluginEntrySchema = Type.Object(
  {
    package: Type.String({ minLength: 1, maxLength: 4_096 }),
    config: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    required: Type.Optional(Type.Boolean()),
    enabled: Type.Optional(Type.Boolean()),
  },
  closed,
);

/** What `log.level` may be. */
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;

/** Schema of the configuration file. Defaults that depend on other fields are filled in afterwards. */
export const NodeConfigSchema = Type.Object(
  {
    nodeId: Id,
    clusterId: Type.String({ pattern: ID_PATTERN, description: Id.description ?? '', default: 'default' }),
    dataDir: Type.String({ minLength: 1, maxLength: 4_096 }),
    http: Type.Object(
      {
        host: Type.String({ ...HostName, default: '127.0.0.1' }),
        port: Type.Integer({ ...Port, default: 7_400 }),
        tls: Type.Optional(HttpTls),
        token: Type.Optional(
          Type.String({
            pattern: '^[\\x21-\\x7e]{16,512}$',
            description: '16 to 512 printable ASCII characters without spaces',
          }),
        ),
      },
      { ...closed, default: {} },
    ),
    peer: Type.Object(
      {
        host: Type.String({ ...HostName, default: '127.0.0.1' }),
        port: Type.Integer({ ...Port, default: 7_500 }),
        tls: Type.Optional(PeerTls),
      },
      { ...closed, default: {} },
    ),
    client: Type.Optional(Type.Object({ host: Type.Optional(HostName), port: Type.Optional(Port) }, closed)),
    peers: Type.Optional(Type.Record(Type.String(), Type.String({ minLength: 1, maxLength: 300 }))),
    joins: Type.Boolean({
      default: false,
      description: 'the node joins a running cluster and learns from it what "peers" leaves out',
    }),
    plugins: Type.Optional(Type.Array(PluginEntrySchema, { maxItems: 10_000 })),
    extraPlugins: Type.Optional(Type.Array(PluginEntrySchema, { maxItems: 10_000 })),
    log: Type.Object(
      {
        level: Type.Union(
          LOG_LEVELS.map((level) => Type.Literal(level)),
          { default: 'info' },
        ),
        pretty: Type.Optional(Type.Boolean()),
      },
      { ...closed, default: {} },
    ),
    kernel: Type.Object(
      {
        loadMs: Type.Integer({ ...Milliseconds, default: 10_000 }),
        initializeMs: Type.Integer({ ...Milliseconds, default: 10_000 }),
        activateMs: Type.Integer({ ...Milliseconds, default: 30_000 }),
        drainMs: Type.Integer({ ...Milliseconds, default: 10_000 }),
        shutdownMs: Type.Integer({ ...Milliseconds, default: 10_000 }),
        disposeMs: Type.Integer({ ...Milliseconds, default: 2_000 }),
        healthMs: Type.Integer({ ...Milliseconds, default: 2_000 }),
        healthEveryMs: Type.Integer({ ...Milliseconds, default: 1_000 }),
      },
      { ...closed, default: {} },
    ),
    insecure: Type.Boolean({ default: false }),
  },
  closed,
);
