// The commands that our scenarios have beyond upstream's: time, crashes, disks, reads, sessions. They are described in
// tests/raft/scenarios/README.md.

import { DiskStall } from '#consensus/engine/disk-stall.js';
import { startVerdict } from '#consensus/groups/identity/first-start.js';
import { makeMessage } from '#consensus/raft/message.js';
import type { Command } from '../directives.js';
import { UsageError } from '../suite.js';
import { Options, wholeNumber } from './arguments.js';
import { firstNode, propose, toNode, type CommandTable } from './commands.js';
import { describeConfState } from './describe-members.js';
import type { Environment } from './environment.js';
import { silentLogger } from './machine.js';
import type { HarnessNode } from './node.js';
import { closeSession, openSession, putInSession } from './session-commands.js';

/** Time that passes for a node that is not paused comes in steps of this many milliseconds. */
const stepMs = 10;

/** Election timeout that a stalled disk is measured against: three ticks of 100 ms. */
const electionTimeoutMs = 300;

/** The nodes that are named, or all that run. */
function nodesOf(env: Environment, options: Options): readonly HarnessNode[] {
  if (options.words.length > 0) return options.words.map((id) => env.node(id));
  return env.nodes.filter((node) => node.running);
}

function needed(options: Options, key: string): number {
  const value = options.number(key);
  if (value === undefined) throw new UsageError(`${key} is missing`);
  return value;
}

function advance(node: HarnessNode, byMs: number): void {
  node.now += byMs;
  if (node.running) node.core.setTime(node.now);
}

function passTime(env: Environment, command: Command): void {
  const options = new Options(command, ['by']);
  const by = needed(options, 'by');
  for (const node of nodesOf(env, options)) {
    for (let passed = 0; passed < by; passed += stepMs) advance(node, Math.min(stepMs, by - passed));
  }
}

function pause(env: Environment, command: Command): void {
  const options = new Options(command, ['by']);
  for (const node of nodesOf(env, options)) advance(node, needed(options, 'by'));
}

function readIndex(env: Environment, command: Command): void {
  const options = new Options(command, ['mode']).atMost(2, command);
  const node = firstNode(env, options);
  const context = options.word(1, 'the context');
  const mode = options.text('mode');
  if (mode !== undefined && mode !== 'safe' && mode !== 'lease') throw new UsageError(`unknown mode ${mode}`);
  if (node.core.isLeader) node.core.readIndex(context, mode);
  else node.core.step(makeMessage({ type: 'read-index', from: node.id, to: node.id, context }));
}

function sessionPut(env: Environment, command: Command): void {
  const options = new Options(command, ['session', 'seq', 'wanted', 'key', 'value']).atMost(1, command);
  const header = {
    session: needed(options, 'session'),
    sequence: needed(options, 'seq'),
    lowestWanted: options.number('wanted') ?? 0,
  };
  const node = firstNode(env, options);
  const data = putInSession(node.id, header, options.text('key') ?? 'k', options.text('value') ?? '');
  propose(node, 'normal', data);
}

function showState(env: Environment, node: HarnessNode): void {
  for (const outcome of node.outcomes) env.output.writeLine(outcome);
  node.outcomes = [];
  env.output.writeLine(`state at ${node.appliedIndex}: ${node.machine.describe()}`);
}

/** The node starts as a voter of its configuration if the product's rule for a first start lets it. */
async function firstStart(env: Environment, command: Command): Promise<void> {
  const node = firstNode(env, new Options(command).atMost(1, command));
  const others = node.setup.snapshot.metadata.conf.voters.filter((id) => id !== node.id);
  // Whoever has met this node with another disk says so; who cannot be reached says nothing.
  node.running = true;
  const agrees = (id: string): boolean => {
    const peer = env.node(id);
    return env.connected(node, peer) && (peer.met.get(node.id) ?? node.disk) === node.disk;
  };
  const verdict = startVerdict('undecided', others, agrees);
  node.running = false;
  if (verdict.kind === 'bootstrap') await node.bootstrap();
  else if (verdict.kind === 'wait') env.output.writeLine(`waits for ${verdict.for.join(' ')}`);
}

/** The one who gives up on a disk, by node: it remembers since when it stalls. */
const stalls = new WeakMap<HarnessNode, DiskStall>();

function leaveStalledDisk(env: Environment, command: Command): void {
  const options = new Options(command, ['to']).atMost(1, command);
  const node = firstNode(env, options);
  const stall = stalls.get(node) ?? new DiskStall('g', silentLogger);
  stalls.set(node, stall);
  stall.leave(node.core, () => options.text('to'), node.now, electionTimeoutMs);
}

/** Our own commands. */
export const ownCommands: CommandTable = {
  scenario: (env, command) => {
    new Options(command).word(0, 'the name');
    env.reset();
  },
  'pass-time': passTime,
  pause,
  crash: (env, command) => {
    for (const id of new Options(command).words) env.crash(env.node(id));
  },
  restart: async (env, command) => {
    for (const id of new Options(command).words) await env.node(id).restart();
  },
  wipe: (env, command) => {
    for (const id of new Options(command).words) {
      env.crash(env.node(id));
      env.node(id).wipe();
    }
  },
  'first-start': firstStart,
  isolate: (env, command) => {
    for (const id of new Options(command).words) env.isolate(env.node(id).id, true);
  },
  heal: (env, command) => {
    const { words } = new Options(command);
    for (const id of words.length > 0 ? words : env.nodes.map((node) => node.id)) env.isolate(id, false);
  },
  'copy-msgs': (env, command) => {
    const { words } = new Options(command);
    env.copies = env.messages.filter(({ from, to }) => from !== to && words.includes(to));
  },
  'replay-msgs': (env, command) => {
    new Options(command).atMost(0, command);
    env.send(env.copies);
  },
  'stall-disk': toNode(1, (node) => {
    if (!node.setup.asyncStorageWrites) throw new UsageError('only async-storage-writes can stall');
    node.diskStalled = true;
  }),
  'resume-disk': toNode(1, (node) => {
    node.diskStalled = false;
  }),
  'leave-stalled-disk': leaveStalledDisk,
  'step-down': toNode(1, (node) => {
    node.core.stepDown();
  }),
  'hand-over': toNode(2, (node, env, options) => {
    node.core.transferLeadership(env.node(options.word(1, 'the other node')).id);
  }),
  'report-snapshot': toNode(3, (node, env, options) => {
    const outcome = options.word(2, 'ok or failed');
    if (outcome !== 'ok' && outcome !== 'failed') throw new UsageError(`ok or failed, not ${outcome}`);
    node.core.reportSnapshot(env.node(options.word(1, 'the other node')).id, outcome === 'ok');
  }),
  'read-index': readIndex,
  'open-session': (env, command) => {
    const options = new Options(command, ['count']).atMost(1, command);
    const node = firstNode(env, options);
    for (let i = 0; i < (options.number('count') ?? 1); i++) propose(node, 'normal', openSession(node.id));
  },
  'close-session': toNode(2, (node, _env, options) => {
    propose(node, 'normal', closeSession(node.id, wholeNumber(options.word(1, 'the session'), 'a session')));
  }),
  'session-put': sessionPut,
  state: toNode(1, (node, env) => {
    showState(env, node);
  }),
  members: toNode(1, (node, env) => {
    env.output.writeLine(describeConfState(node.core.status().conf));
  }),
  position: toNode(1, (node, env) => {
    const { term, vote, commit, firstIndex, lastIndex } = node.core.status();
    const applied = node.appliedIndex;
    env.output.writeLine(
      `term=${term} vote=${vote ?? 'none'} first=${firstIndex} last=${lastIndex} commit=${commit} applied=${applied}`,
    );
  }),
};
