// The commands that upstream's interaction suite has. What a command throws is printed and ends it.

import type { ConfChange, ConfChangeTransition, ConfState, MessageType } from '#consensus/raft/types.js';
import { encodeConfChange } from '#consensus/raft/confchange/encoding.js';
import { makeMessage } from '#consensus/raft/message.js';
import type { Command } from '../directives.js';
import { UsageError } from '../suite.js';
import { addNodes } from './add-nodes.js';
import { Options, wholeNumber } from './arguments.js';
import { parseChanges } from './changes.js';
import { describeEntry, describeMessage, messageNames, roleNames } from './describe.js';
import { describeProgress, inOrder } from './describe-members.js';
import type { Environment, Recipient } from './environment.js';
import type { HarnessNode } from './node.js';
import { logLevels } from './output.js';

/** Carries out one command. `input` are the lines below it. */
export type CommandHandler = (
  env: Environment,
  command: Command,
  input: readonly string[],
) => void | Promise<void>;

/** Commands by name. */
export type CommandTable = Readonly<Record<string, CommandHandler>>;

/** The node that the first word names. */
export function firstNode(env: Environment, options: Options): HarnessNode {
  return env.node(options.word(0, 'the number of a node'));
}

/** A node that is only spoken of: it need not be there yet. */
function otherNode(id: string): string {
  return String(wholeNumber(id, 'the other node'));
}

/** A command to one node, with so many words altogether and no options. */
export function toNode(
  words: number,
  act: (node: HarnessNode, env: Environment, options: Options) => void | Promise<void>,
): CommandHandler {
  return (env, command) => {
    const options = new Options(command).atMost(words, command);
    return act(firstNode(env, options), env, options);
  };
}

/** A command to each of several nodes, whose outputs are set in under a title if there are several. */
function toEach(
  title: string,
  act: (env: Environment, node: HarnessNode) => void | Promise<void>,
): CommandHandler {
  return async (env, command) => {
    const nodes = new Options(command).words.map((id) => env.node(id));
    for (const node of nodes) {
      if (nodes.length === 1) {
        await act(env, node);
        continue;
      }
      env.output.writeLine(`> ${node.id} ${title}`);
      await env.output.indented(() => act(env, node));
    }
  };
}

const noBytes = new Uint8Array(0);

/** Proposes at a node, which passes it on if it does not lead. */
export function propose(node: HarnessNode, type: 'normal' | 'conf-change', data: Uint8Array): void {
  const entries = [{ term: 0, index: 0, type, data }];
  node.core.step(makeMessage({ type: 'propose', from: node.id, to: node.id, entries }));
}

const transitions: Readonly<Record<string, ConfChangeTransition>> = {
  auto: 'auto',
  implicit: 'joint-implicit',
  explicit: 'joint-explicit',
};

function proposeConfChange(env: Environment, command: Command, input: readonly string[]): void {
  const options = new Options(command, ['v1', 'transition']).atMost(1, command);
  const name = options.text('transition') ?? 'auto';
  const transition = transitions[name];
  if (transition === undefined) throw new UsageError(`unknown transition ${name}`);
  const changes = parseChanges(input.join(' '));
  const change: ConfChange = { transition, changes, context: noBytes };
  if (!options.flag('v1')) {
    propose(firstNode(env, options), 'conf-change', encodeConfChange(change));
    return;
  }
  if (changes.length !== 1 || transition !== 'auto') {
    throw new Error('v1 conf change can only have one operation and no transition');
  }
  propose(firstNode(env, options), 'conf-change', encodeConfChange(change, 'v1'));
}

/** The kind of messages of this name. */
export function messageType(name: string): MessageType {
  const found = Object.entries(messageNames).find(([, shown]) => shown === name);
  if (found === undefined) throw new UsageError(`unknown message type ${name}`);
  return found[0] as MessageType;
}

function deliverMessages(env: Environment, command: Command): void {
  const options = new Options(command, ['drop', 'type']);
  const type = options.text('type');
  // Taken away or delivered in the order in which the command names them.
  const recipients = command.args.flatMap((arg): readonly Recipient[] => {
    if (arg.key === 'drop') return arg.values.map((id) => ({ id, drop: true }));
    return arg.key === 'type' ? [] : [{ id: arg.key, drop: false }];
  });
  for (const { id, drop } of recipients) {
    wholeNumber(id, 'a node');
    if (drop && options.words.includes(id)) throw new UsageError(`can't both deliver and drop msgs to ${id}`);
  }
  const count = env.deliver(recipients, type === undefined ? undefined : messageType(type));
  if (count === 0) env.output.writeLine('no messages');
}

function setLevel(env: Environment, name: string): void {
  const level = logLevels.find((each) => each === name.toUpperCase());
  if (level === undefined) throw new UsageError(`log levels must be either of [${logLevels.join(' ')}]`);
  env.output.level = level;
}

async function stabilize(env: Environment, command: Command): Promise<void> {
  const options = new Options(command, ['log-level']);
  const before = env.output.level;
  const level = options.text('log-level');
  if (level !== undefined) setLevel(env, level);
  try {
    await env.stabilize(options.words.length === 0 ? env.nodes : options.words.map((id) => env.node(id)));
  } finally {
    env.output.level = before;
  }
}

function showLog(env: Environment, node: HarnessNode): void {
  const { storage } = node;
  const entries = storage.all();
  if (entries.length === 0) {
    env.output.write(`log is empty: first index=${storage.firstIndex()}, last index=${storage.lastIndex()}`);
  }
  for (const entry of entries) env.output.writeLine(describeEntry(entry));
}

function isVoter(id: string, conf: ConfState): boolean {
  return conf.voters.includes(id) || conf.votersOutgoing.includes(id);
}

function showStates(env: Environment, command: Command): void {
  new Options(command).atMost(0, command);
  for (const node of env.nodes) {
    if (!node.running) {
      env.output.writeLine(`${node.id}: down`);
      continue;
    }
    const { id, role, conf, term, leader } = node.core.status();
    const voter = isVoter(id, conf) ? '(Voter)' : '(Non-Voter)';
    env.output.writeLine(`${id}: ${roleNames[role]} ${voter} Term:${term} Lead:${leader ?? 0}`);
  }
}

function showProgress(env: Environment, node: HarnessNode): void {
  const { progress } = node.core.status();
  for (const id of inOrder(progress.map((member) => member.id))) {
    const member = progress.find((each) => each.id === id);
    if (member !== undefined) env.output.writeLine(describeProgress(member));
  }
}

function tick(node: HarnessNode, times: number): void {
  for (let i = 0; i < times; i++) node.core.tick();
}

/** Upstream's commands. */
export const upstreamCommands: CommandTable = {
  // Where upstream attaches a debugger.
  _breakpoint: () => {},
  'add-nodes': addNodes,
  campaign: toNode(1, (node) => {
    node.core.campaign();
  }),
  compact: toNode(2, (node, env, options) => {
    node.compact(wholeNumber(options.word(1, 'the index'), 'the index'));
    showLog(env, node);
  }),
  'deliver-msgs': deliverMessages,
  'forget-leader': toNode(1, (node) => {
    node.core.forgetLeader();
  }),
  'log-level': (env, command) => {
    setLevel(env, new Options(command).atMost(1, command).word(0, 'the level'));
  },
  'process-append-thread': toEach('processing append thread', (env, node) => env.processAppend(node)),
  'process-apply-thread': toEach('processing apply thread', (env, node) => {
    env.processApply(node);
  }),
  'process-ready': toEach('handling Ready', (env, node) => env.processReady(node)),
  propose: toNode(2, (node, _env, options) => {
    propose(node, 'normal', Buffer.from(options.word(1, 'what to propose')));
  }),
  'propose-conf-change': proposeConfChange,
  'raft-log': toNode(1, (node, env) => {
    showLog(env, node);
  }),
  'raft-state': showStates,
  'report-unreachable': toNode(2, (node, _env, options) => {
    node.core.reportUnreachable(otherNode(options.word(1, 'the other node')));
  }),
  'send-snapshot': toNode(2, (node, env, options) => {
    const to = otherNode(options.word(1, 'the other node'));
    const snapshot = node.newest;
    const message = makeMessage({ type: 'snapshot', from: node.id, to, term: node.core.term, snapshot });
    env.send([message]);
    env.output.write(describeMessage(message));
  }),
  'set-randomized-election-timeout': (env, command) => {
    const options = new Options(command, ['timeout']).atMost(1, command);
    const timeout = options.number('timeout');
    if (timeout === undefined || timeout === 0) throw new UsageError('timeout is at least 1');
    firstNode(env, options).setRandomizedElectionTimeout(timeout);
  },
  stabilize,
  status: toNode(1, (node, env) => {
    showProgress(env, node);
  }),
  'tick-election': toNode(1, (node) => {
    tick(node, node.setup.config.electionTicks);
  }),
  'tick-heartbeat': toNode(1, (node) => {
    tick(node, node.setup.config.heartbeatTicks);
  }),
  'transfer-leadership': (env, command) => {
    const options = new Options(command, ['from', 'to']).atMost(0, command);
    const from = env.node(options.text('from') ?? '');
    const to = otherNode(options.text('to') ?? '');
    from.core.step(makeMessage({ type: 'transfer-leader', from: to, to: from.id }));
  },
};
