// `dw resilience`: its commands with their options.

import type { Command } from 'commander';
import { withCommonOptions } from './common-options.js';
import { integer } from './integer-option.js';

/** Adds `dw resilience`. */
export function addResilience(program: Command): void {
  const resilience = program
    .command('resilience')
    .description('the policies around calls: retry, circuit breaker, timeout, bulkhead and others');
  const part = (usage: string, description: string): Command =>
    withCommonOptions(resilience.command(usage).description(description));
  part('list', 'the policies of a node, with what is counted of each').action(async (options) =>
    (await import('./commands/resilience.js')).listPolicies(options),
  );
  part('show <policy>', 'a policy: its strategies, counters, keys, and why breakers changed')
    .option('--key <key>', 'only this key')
    .action(async (policy, options) =>
      (await import('./commands/resilience.js')).showPolicy(policy, options),
    );
  part('explain <policy>', 'what a policy does to a call, and the most that a call can cost').action(
    async (policy, options) => (await import('./commands/resilience.js')).explainPolicy(policy, options),
  );
  part('check <file>', 'check a policy in a file and explain it, without setting it').action(
    async (file, options) => (await import('./commands/resilience.js')).checkPolicy(file, options),
  );
  part(
    'set <file>',
    'set a policy from a file (JSON: {"name", "strategies": [{"type"}, …]}); "-" is standard input',
  ).action(async (file, options) => (await import('./commands/resilience.js')).setPolicy(file, options));
  part(
    'remove <policy>',
    'remove what was set; what the configuration or this version says holds again',
  ).action(async (policy, options) =>
    (await import('./commands/resilience.js')).removePolicy(policy, options),
  );
  for (const [action, description] of [
    ['isolate', 'open circuit breakers by hand, until they are reset'],
    ['reset', 'close circuit breakers by hand'],
  ] as const) {
    part(`${action} <policy>`, description)
      .option('--key <key>', 'only this key; default: all keys, also those that come later')
      .option('--reason <text>', 'shown beside the change')
      .action(async (policy, options) =>
        (await import('./commands/resilience.js')).orderPolicy(action, policy, options),
      );
  }
  part(
    'try <policy> <url>',
    'let the node call a URL under a policy, and watch: how breakers open, what is retried and turned away',
  )
    .option('--calls <n>', 'calls in all', integer(1, 10_000), 50)
    .option('--concurrency <n>', 'calls at once', integer(1, 64), 1)
    .option('--interval <ms>', 'between a call and the next one in its place', integer(0, 60_000), 200)
    .option('--key <key>', 'key of the policy; default one that no other calls use')
    .option('--head', 'ask with HEAD in place of GET')
    .action(async (policy, url, options) =>
      (await import('./commands/resilience-try.js')).tryPolicy(policy, url, options),
    );
}
