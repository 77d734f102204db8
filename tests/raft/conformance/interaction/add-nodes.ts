// Making nodes: what they start from, and how their cores are set up. Without limits unless some are given.

import type { ConfState, LeaseConfig, Snapshot } from '#consensus/raft/types.js';
import type { Command } from '../directives.js';
import { UsageError } from '../suite.js';
import { Options, wholeNumber } from './arguments.js';
import type { Environment } from './environment.js';
import { AppendingMachine, SessionMachine, type Machine } from './machine.js';
import type { NodeSetup } from './node.js';

const noLimit = Number.MAX_SAFE_INTEGER;
const electionTicks = 3;
const heartbeatTicks = 1;

const known = [
  'voters',
  'learners',
  'witnesses',
  'index',
  'content',
  'inflight',
  'max-committed-size-per-ready',
  'read-only',
  'lease',
  'machine',
];
const flags = [
  'async-storage-writes',
  'prevote',
  'checkquorum',
  'disable-conf-change-validation',
  'step-down-on-removal',
];

/** `add-nodes N …` */
export async function addNodes(env: Environment, command: Command): Promise<void> {
  const options = new Options(command, known, flags).atMost(1, command);
  const count = wholeNumber(options.word(0, 'how many nodes'), 'how many nodes');
  await env.addNodes(count, setupOf(options));
}

function setupOf(options: Options): NodeSetup {
  const index = options.number('index');
  const snapshot = snapshotOf(options, index ?? 0);
  const isEmpty =
    snapshot.metadata.conf.voters.length + snapshot.metadata.conf.learners.length + snapshot.data.length ===
    0;
  if (!isEmpty && (index ?? 0) <= 1) throw new Error('index must be specified as > 1 due to bootstrap');
  const readOnly = readOnlyOf(options.text('read-only'));
  const lease = leaseOf(options.number('lease'));
  return {
    snapshot,
    applied: index ?? 0,
    newMachine: machineOf(options.text('machine')),
    asyncStorageWrites: options.flag('async-storage-writes'),
    config: {
      electionTicks,
      heartbeatTicks,
      maxBytesPerMessage: noLimit,
      maxCommittedBytesPerReady: options.number('max-committed-size-per-ready') ?? noLimit,
      maxUncommittedBytes: noLimit,
      maxInflightMessages: options.number('inflight') ?? 2 ** 31 - 1,
      maxInflightBytes: 0,
      preVote: options.flag('prevote'),
      checkQuorum: options.flag('checkquorum'),
      disableConfChangeValidation: options.flag('disable-conf-change-validation'),
      stepDownOnRemoval: options.flag('step-down-on-removal'),
      readOnly,
      ...(lease === undefined ? {} : { lease }),
    },
  };
}

function snapshotOf(options: Options, index: number): Snapshot {
  const ids = (key: string): readonly string[] =>
    options.list(key).map((id) => String(wholeNumber(id, `a node in ${key}`)));
  const witnesses = ids('witnesses');
  const conf: ConfState = {
    voters: [...ids('voters'), ...witnesses],
    votersOutgoing: [],
    learners: ids('learners'),
    learnersNext: [],
    witnesses,
    autoLeave: false,
  };
  const term = index === 0 ? 0 : 1;
  return { metadata: { index, term, conf }, data: Buffer.from(options.text('content') ?? '') };
}

function machineOf(name: string | undefined): () => Machine {
  if (name === undefined) return () => new AppendingMachine();
  if (name === 'sessions') return () => new SessionMachine();
  throw new UsageError(`unknown machine: ${name}`);
}

function readOnlyOf(text: string | undefined): 'safe' | 'lease' {
  if (text === undefined || text === 'safe') return 'safe';
  if (text === 'lease-based') return 'lease';
  throw new UsageError(`invalid read-only option "${text}"`);
}

/** Promises of so many milliseconds, with a tenth for the drift of clocks; half of that is a pause. */
function leaseOf(promiseMs: number | undefined): LeaseConfig | undefined {
  if (promiseMs === undefined) return undefined;
  return { promiseMs, driftMargin: 0.1, maxPauseMs: promiseMs / 2, refuseVotesAfterStart: true };
}
