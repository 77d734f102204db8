// The `dw` command line: every command with its options. What a command does is loaded when it is run.

import { Command } from 'commander';
import { withCommonOptions } from './common-options.js';
import { integer } from './integer-option.js';
import { addResilience } from './program-resilience.js';

function addLocal(program: Command): void {
  program
    .command('up')
    .description('start a local cluster, one process a node, and keep it running until Ctrl-C')
    .option('--nodes <n>', 'number of nodes (default 3)', integer(1, 99))
    .option('--base-port <port>', 'HTTP port of the first node (default 7400)', integer(1, 65_000))
    .option('--data-dir <dir>', 'where the cluster keeps its data', 'data')
    .option('--plugin <dir...>', 'folders of plugins to load beside those that ship')
    .action(async (options) => (await import('./commands/up.js')).up(options));
  program
    .command('start')
    .description('start one host and keep it running until SIGTERM or Ctrl-C')
    .option(
      '--config <file>',
      'configuration of the node (JSON); with --join, what it says beside the addresses',
    )
    .option('--join <url>', 'join the running cluster of this host; the same command starts the node again')
    .option('--node-id <id>', 'with --join: id of the new node (default: the next free one)')
    .option('--data-dir <dir>', 'with --join: where the node keeps its data (default data/joined)')
    .option('--http-port <port>', 'with --join: its HTTP port', integer(1, 65_535))
    .option('--peer-port <port>', 'with --join: its port for peers', integer(1, 65_535))
    .option('--client-port <port>', 'with --join: its port for clients', integer(1, 65_535))
    .option('--token <token>', 'with --join: token of the cluster; better given as DW_TOKEN')
    .option('--plugin <dir...>', 'folders of plugins to load beside those of the configuration')
    .option('--supervised', 'stop when standard input closes; for processes that start hosts')
    .action(async (options) => (await import('./commands/start.js')).start(options));
}

function addStatus(program: Command): void {
  withCommonOptions(program.command('status').description('the nodes and groups of the cluster')).action(
    async (options) => (await import('./commands/status.js')).status(options),
  );
  addNodes(program);
  // The options stand on `groups` itself: commander gives them to it wherever on the line they are.
  const groups = withCommonOptions(
    program.command('groups').description('the Raft groups, and what can be done to them'),
  ).action(async (options) => (await import('./commands/groups.js')).listGroups(options));
  const part = (usage: string, description: string): Command =>
    groups.command(usage).description(description).configureHelp({ showGlobalOptions: true });
  part('transfer <group> <node>', 'move the leadership of a group to a node').action(
    async (group, node, _options, command) =>
      (await import('./commands/groups.js')).transferGroup(group, node, command.optsWithGlobals()),
  );
  part('snapshot <group>', 'take a snapshot of a group and compact its log').action(
    async (group, _options, command) =>
      (await import('./commands/groups.js')).snapshotGroup(group, command.optsWithGlobals()),
  );
  addMembers(part);
}

function addNodes(program: Command): void {
  const nodes = withCommonOptions(
    program.command('nodes').description('the nodes of the cluster, what each holds, and taking one out'),
  ).action(async (options) => (await import('./commands/nodes.js')).listNodes(options));
  nodes
    .command('retire <node>')
    .description('take a node out of the cluster: others get its places, then it is removed')
    .configureHelp({ showGlobalOptions: true })
    .action(async (node, _options, command) =>
      (await import('./commands/nodes.js')).retireNode(node, command.optsWithGlobals()),
    );
}

function addMembers(part: (usage: string, description: string) => Command): void {
  part('members <group>', 'who votes and who learns in a group').action(async (group, _options, command) =>
    (await import('./commands/group-members.js')).showMembers(group, command.optsWithGlobals()),
  );
  part('add <group> <nodes...>', 'add nodes to a group: they learn, then they vote')
    .option('--learner', 'they learn and do not vote')
    .option('--witness', 'they vote and hold no data')
    .action(async (group, nodes, _options, command) =>
      (await import('./commands/group-members.js')).addMembers(group, nodes, command.optsWithGlobals()),
    );
  part('promote <group> <nodes...>', 'let learners vote').action(async (group, nodes, _options, command) =>
    (await import('./commands/group-members.js')).promoteMembers(group, nodes, command.optsWithGlobals()),
  );
  part('replace <group> <old> <new>', 'put one node in the place of another, in one step').action(
    async (group, old, replacement, _options, command) =>
      (await import('./commands/group-members.js')).replaceMember(
        group,
        old,
        replacement,
        command.optsWithGlobals(),
      ),
  );
  part('remove <group> <nodes...>', 'remove nodes from a group').action(
    async (group, nodes, _options, command) =>
      (await import('./commands/group-members.js')).removeMembers(group, nodes, command.optsWithGlobals()),
  );
  part(
    'recover <group>',
    'repair a group that lost its majority for good; says first what may be lost, and asks',
  )
    .option('--yes', 'do it without asking')
    .action(async (group, _options, command) =>
      (await import('./commands/group-members.js')).recoverGroup(group, command.optsWithGlobals()),
    );
}

function addKeyValue(program: Command): void {
  const kv = program.command('kv').description('the replicated key-value store');
  withCommonOptions(kv.command('get <key>').description('print the value of a key, byte for byte'))
    .option('--stale', 'read what this node has, without asking the others')
    .action(async (key, options) => (await import('./commands/kv.js')).get(key, options));
  withCommonOptions(
    kv.command('put <key> <value>').description('set a key; the value "-" is read from standard input'),
  )
    .option('--if-version <n>', 'only over this version', integer(1, Number.MAX_SAFE_INTEGER))
    .option('--if-absent', 'only if the key is not there')
    .option('--idempotency-key <key>', 'a retry with the same key is applied once')
    .action(async (key, value, options) => (await import('./commands/kv.js')).put(key, value, options));
  withCommonOptions(kv.command('delete <key>').description('remove a key'))
    .option('--if-version <n>', 'only if it has this version', integer(1, Number.MAX_SAFE_INTEGER))
    .option('--idempotency-key <key>', 'a retry with the same key is applied once')
    .action(async (key, options) => (await import('./commands/kv.js')).remove(key, options));
  withCommonOptions(kv.command('list').description('list keys in order'))
    .option('--prefix <text>', 'only keys that begin so')
    .option('--after <key>', 'only keys after this one')
    .option('--limit <n>', 'keys at most; default: all', integer(1, 1_000_000_000))
    .action(async (options) => (await import('./commands/kv.js')).list(options));
  withCommonOptions(
    kv
      .command('cas <key> <version> <value>')
      .description('set a key only if it has this version ("absent" or 0: only if it is not there)'),
  )
    .option('--idempotency-key <key>', 'a retry with the same key is applied once')
    .action(async (key, version, value, options) =>
      (await import('./commands/kv.js')).compareAndSwap(key, version, value, options),
    );
}

function addBus(program: Command): void {
  const bus = program.command('bus').description('the message bus of a node');
  withCommonOptions(bus.command('publish <topic> [json]').description('publish a message')).action(
    async (topic, json, options) => (await import('./commands/bus.js')).publish(topic, json, options),
  );
  withCommonOptions(bus.command('send <topic> [json]').description('ask, and print the reply'))
    .option('--timeout <ms>', 'how long to wait for the reply', integer(1, 100_000), 30_000)
    .action(async (topic, json, options) => (await import('./commands/bus.js')).send(topic, json, options));
  withCommonOptions(
    bus
      .command('listen <topics...>')
      .description('print messages as they come; "*" stands for one word, a final ">" for the rest'),
  )
    .option('--count <n>', 'stop after this many', integer(1, 1_000_000_000))
    .action(async (topics, options) => (await import('./commands/bus.js')).listen(topics, options));
}

function addPlugins(program: Command): void {
  withCommonOptions(program.command('plugins').description('the plugins of a node')).action(async (options) =>
    (await import('./commands/plugins.js')).listPlugins(options),
  );
  const plugin = program.command('plugin').description('make a plugin, or switch one');
  plugin
    .command('create <name>')
    .description('write a new plugin that works, with its test')
    .option('--dir <dir>', 'folder in which the plugin’s folder is made', '.')
    .option('--id <id>', 'id in its manifest; default com.example.<name>')
    .option('--json', 'print JSON for machines')
    .action(async (name, options) => (await import('./commands/plugins.js')).create(name, options));
  for (const [action, description] of [
    ['enable', 'start a plugin that is disabled, failed or quarantined'],
    ['disable', 'stop a plugin and those that need it'],
    ['reload', 'stop a plugin, read it again, and start it'],
  ] as const) {
    withCommonOptions(plugin.command(`${action} <id>`).description(description)).action(async (id, options) =>
      (await import('./commands/plugins.js')).switchPlugin(action, id, options),
    );
  }
}

function addTuning(program: Command): void {
  withCommonOptions(
    program
      .command('limits [subsystem] [changes...]')
      .description('show limits, or change them: NAME=VALUE …, all or nothing'),
  ).action(async (subsystem, changes, options) =>
    (await import('./commands/limits.js')).limits(subsystem, changes, options),
  );
  withCommonOptions(program.command('bench').description('put a short load on a running cluster'))
    .option('--clients <n>', 'requests under way at once', integer(1, 10_000), 64)
    .option('--seconds <n>', 'how long', integer(1, 3_600), 10)
    .option('--value-bytes <n>', 'size of each value', integer(0, 4 * 1024 * 1024), 256)
    .action(async (options) => (await import('./commands/bench.js')).bench(options));
}

/** Makes the command line. It throws commander's errors rather than ending the process. */
export function createProgram(version: string): Command {
  const program = new Command('dw')
    .description('DataWarehouse Host: a plugin host with replicated state')
    .version(version)
    .showHelpAfterError('(add --help for what is allowed)')
    .exitOverride();
  addLocal(program);
  addStatus(program);
  addKeyValue(program);
  addTuning(program);
  addBus(program);
  addPlugins(program);
  addResilience(program);
  return program;
}
