// Writes docs/PLUGIN-CATALOG.md from the manifests of the plugins that ship, so that it says what is so.
// `--check` writes nothing and fails when the page is not what it would write.
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const page = join(root, 'docs', 'PLUGIN-CATALOG.md');

/** What the manifests cannot say: what a plugin is for, and the metrics that it shows at run time. */
const TOLD = {
  'com.datawarehouse.cluster': {
    what: 'The network between nodes: framed, checksummed, pooled TCP with mutual TLS, in two lanes that never delay each other; and who of the configured members is there.',
    base: 'InfrastructurePluginBase',
    subsystem: 'peer-transport',
    routes: ['GET /v1/cluster'],
    metrics: {
      'peers.connected, peers.configured': 'peers that can be reached, and all',
      'connections.outbound, .inbound, .handshaking': 'open connections by who dialled',
      'pool.busyConnections, pool.utilization': 'connections with something to send or answer',
      'rtt.{peer}.p50Ms, .p99Ms, .latestMs': 'round-trip times over the last samples',
      'frames.in, frames.out, bytes.in, bytes.out': 'traffic',
      'requests.pending, requests.lateReplies':
        'requests that wait, and replies that nobody waited for any more',
      'drops.disconnected, .queueFull, .unhandled, .overloaded, .handlerFailed':
        'messages that were lost, by reason',
      'rejects.total and one for each reason': 'peers that were refused or cut off',
    },
  },
  'com.datawarehouse.consensus.ultimate': {
    what: 'Multi-Raft: several groups over the configured nodes, the replicated key-value store, and proposals of other plugins.',
    base: 'ConsensusPluginBase',
    subsystem: 'consensus',
    routes: [
      'PUT, GET, DELETE /v1/kv/{key}',
      'GET /v1/kv',
      'GET /v1/groups',
      'POST /v1/groups/{id}/transfer',
      'POST /v1/groups/{id}/snapshot',
    ],
    metrics: {
      'groups.count, groups.local': 'groups of the cluster, and those with a replica here',
      'operations.underWay, .waitingForLeader': 'what clients have asked and not been answered',
      'reads.total, writes.total': 'operations since the start',
      'proposals.pending, .pendingBytes, .committed': 'proposals of this node as a leader',
      'commit.p50Ms, commit.p99Ms': 'time from proposal to commit, over the last half minute',
      'forwards.outgoing, .incoming, .lostReplies, .malformed': 'operations passed on to leaders',
      'clients.connections, .accepted, .requests, .cutOff':
        'the client port: open, since the start, under way, ended by the node',
      'election.timeoutMs, elections.total, rtt.p50Ms, rtt.p99Ms':
        'the election timeout in force and what it follows',
      'engine.stalls': 'times the event loop or the process stood still',
      'messages.lostFrames, messages.malformed': 'frames that were not sent, or refused',
      'disk.writes, .depth, .pendingBytes, .journalBytes, .journalSyncs, .segmentBytes, .mappedSegments, .scrubbedBytes, .scrubFailures, .damagedGroups':
        'storage',
      'snapshots.sent': 'snapshots streamed to followers',
      'group.{id}.leader, .nodes, .logEntries, .logBytes, .keys, .elections, .snapshots, .droppedAppends':
        'each group',
    },
  },
  'com.datawarehouse.resilience.ultimate': {
    what: 'Named policies around calls (retry, circuit breaker, timeout, bulkhead, rate limit, hedge, fallback and more), which operators set and change while they are used. Four ship: `default`, `fail-fast`, `http-outbound` and `peer-rpc`. [resilience.md](resilience.md) says which to use for what.',
    base: 'ResiliencePluginBase',
    subsystem: 'resilience',
    routes: [
      'GET /v1/resilience/policies',
      'GET, PUT, DELETE /v1/resilience/policies/{name}',
      'GET /v1/resilience/policies/{name}/explain',
      'POST /v1/resilience/policies/{name}/isolate, /reset, /try',
      'POST /v1/resilience/explain',
    ],
    metrics: {
      'totalExecutions, successfulExecutions, failedExecutions, timedOutExecutions, rejectedExecutions, cancelledExecutions':
        'calls since the start, by how they ended; those of removed policies stay in',
      'inFlight, successRate': 'calls under way; successes of those that ran to an end',
      'retryAttempts, retryRate, retryBudget.refusals':
        'retries, for each call, and those that a budget refused',
      'circuitBreakerTrips, activeCircuitBreakers': 'times that one opened; those that are not closed',
      'circuitBreaker.closedCount, .openCount, .halfOpenCount, .isolatedCount': 'breakers by state',
      'activeBulkheads, bulkhead.utilization, bulkheadRejections':
        'bulkheads, how full the fullest policy is (which is also the backpressure), and calls turned away',
      'policies, policies.adaptive': 'policies, and those whose thresholds move by themselves',
      'keys.limit, keys.evictions, keys.refusals': 'what became of keys',
      'sharing.sent, .unsent, .received, .applied, .stale, .refused, .refusedAhead':
        'notices of breakers between nodes',
      'events.untold, events.lost, events.listenerFailures':
        'events that were not told, and listeners that threw',
      'policy.{name}.calls, .successRate, .retryRate, .rejections, .p50Ms, .p95Ms, .p99Ms, .inFlight, .keys, .openCircuits, .retryBudgetLeft':
        'each of the first 64 policies; latencies of the last half minute to minute',
    },
  },
};

const table = (head, rows) =>
  [
    `| ${head.join(' | ')} |`,
    `|${head.map(() => '---').join('|')}|`,
    ...rows.map((row) => `| ${row.join(' | ')} |`),
  ].join('\n');
const code = (text) => `\`${text}\``;
const list = (items) => (items === undefined || items.length === 0 ? 'nothing' : items.map(code).join(', '));

function section(name, manifest) {
  const told = TOLD[manifest.id];
  if (told === undefined) throw new Error(`scripts/plugin-catalog.mjs does not know ${manifest.id}`);
  const settings = Object.entries(manifest.configSchema?.properties ?? {});
  const replaced = Object.entries(manifest.replaces ?? {});
  return [
    `## ${code(manifest.id)}`,
    told.what,
    table(
      ['', ''],
      [
        ['package', code(name)],
        ['extends', code(told.base)],
        ['provides', list(manifest.provides)],
        ['requires', list(manifest.requires)],
        ...(manifest.optional === undefined ? [] : [['uses where it is there', list(manifest.optional)]]),
        ['publishes', list(manifest.topics?.publish)],
        ['subscribes to', list(manifest.topics?.subscribe)],
        ['HTTP', list(told.routes)],
        [
          'replaces',
          replaced
            .map(
              ([id, config]) =>
                `${code(id)} (deprecated; loads this one with ${code(JSON.stringify(config))})`,
            )
            .join(', ') || 'nothing',
        ],
      ],
    ),
    settings.length > 0 &&
      `Configuration:\n\n${table(
        ['field', 'default', 'what'],
        settings.map(([field, { default: value, description }]) => [code(field), String(value), description]),
      )}`,
    `Limits (subsystem ${code(told.subsystem)}), beside the four that every subsystem has where they are not listed:\n\n${table(
      ['limit', 'unit', 'min', 'max', 'default', 'bounds'],
      Object.entries(manifest.limits ?? {}).map(([limit, d]) => [
        code(limit),
        d.unit,
        d.min,
        d.max,
        d.default,
        d.description,
      ]),
    )}`,
    `Metrics, beside the standard keys ${['cache.size', 'cache.hitRate', 'cache.memoryBytes', 'backpressure.state', 'backpressure.queueDepth'].map(code).join(', ')}:\n\n${table(
      ['metric', 'what'],
      Object.entries(told.metrics).map(([metric, what]) => [metric.split(', ').map(code).join(', '), what]),
    )}`,
  ]
    .filter(Boolean)
    .join('\n\n');
}

const plugins = readdirSync(join(root, 'packages'))
  .map((folder) => join(root, 'packages', folder, 'package.json'))
  .filter((file) => existsSync(file))
  .map((file) => JSON.parse(readFileSync(file, 'utf8')))
  .filter((manifest) => manifest.datawarehouse !== undefined);

const text = `# Plugin catalog

Written by \`node scripts/plugin-catalog.mjs\` from the manifests; \`npm run check\` fails when it is out of date.

## The class hierarchy

\`\`\`
PluginBase                          an id, a name, a version, and the steps of a life
└─ InfrastructurePluginBase         gives the other plugins infrastructure: infrastructureDomain
   ├─ ConsensusPluginBase           proposeAsync, isLeaderAsync, getStateAsync, getClusterHealthAsync
   │  └─ UltimateConsensusPlugin    com.datawarehouse.consensus.ultimate
   ├─ ResiliencePluginBase          executeWithResilienceAsync, getResilienceHealthAsync
   │  └─ UltimateResiliencePlugin   com.datawarehouse.resilience.ultimate
   └─ ClusterPlugin                 com.datawarehouse.cluster
\`\`\`

The host itself shows two subsystems with limits and metrics: \`bus\` (the message bus) and \`http\` (the API).

The topics of the house are declared, with their schemas, in \`packages/sdk/src/bus/topics.ts\`. The host publishes \`dw.plugin.state.changed\`, \`dw.scaling.limits.changed\` and \`dw.scaling.backpressure.changed\`, and answers \`dw.scaling.reconfigure\`.

${plugins.map(({ name, datawarehouse }) => section(name, datawarehouse)).join('\n\n')}
`;

if (!process.argv.includes('--check')) {
  writeFileSync(page, text);
} else if (!existsSync(page) || readFileSync(page, 'utf8') !== text) {
  console.error('docs/PLUGIN-CATALOG.md is out of date: run node scripts/plugin-catalog.mjs');
  process.exitCode = 1;
}
