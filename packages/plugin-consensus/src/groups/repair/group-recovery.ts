// Recovers a group whose majority is gone for good: asks who is left, makes a plan, and, once an operator has confirmed
// it, lets the most up-to-date replica go on as the only voter. That is done in its log: entries of a new term, written as
// committed, remove everybody else, so that its own restart and every later copy come to the same members.

import type { Clock, Logger } from '@datawarehouse/sdk';
import { errorMessage } from '@datawarehouse/sdk';
import { membersOf } from '../../engine/group-conf.js';
import type { MultiRaftEngine } from '../../engine/multi-raft-engine.js';
import type { RaftGroup } from '../../engine/raft-group.js';
import { noReplica } from '../../errors.js';
import { decodeConfChange, encodeConfChange, leaveJointChange } from '../../raft/confchange/encoding.js';
import type { ConfChange, ConfState, Entry, NodeId } from '../../raft/types.js';
import type { NodeStorage } from '../../storage/types.js';
import type { ReplicaClient } from '../replicas/replica-client.js';
import type { RecoverReplica, RecoveryNote } from '../replicas/replica-messages.js';
import type { ReplicaRecords } from '../replicas/replica-records.js';
import { recoveryPlanStale } from './repair-errors.js';
import type { RecoveryPlan, Survivor } from './recovery-plan.js';
import { planRecovery } from './recovery-plan.js';

const INSPECT_MS = 3_000;
/** Bytes of the log's tail that are looked through at a time for members that were about to be added. */
const SCAN_BYTES = 1024 * 1_024;

/** What it works with. */
export interface GroupRecoveryOptions {
  readonly engine: MultiRaftEngine;
  readonly storage: NodeStorage;
  readonly client: ReplicaClient;
  readonly records: ReplicaRecords;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Recovers groups. */
export class GroupRecovery {
  constructor(private readonly options: GroupRecoveryOptions) {}

  /** What would be done now. @throws DwError `group-not-lost`, `recovery-impossible`. */
  async plan(groupId: string): Promise<RecoveryPlan> {
    const { client } = this.options;
    const survivors: Survivor[] = [];
    const own = this.inspect(groupId);
    if (isSurvivor(own)) survivors.push(own);
    const asked = client.connected().map(async (peer) => {
      const answer: unknown = await client
        .ask(peer, { kind: 'inspect', groupId }, INSPECT_MS)
        .catch(() => undefined);
      if (isSurvivor(answer) && answer.node === peer) survivors.push(answer);
    });
    await Promise.all(asked);
    return planRecovery(
      groupId,
      survivors.toSorted((a, b) => (a.node < b.node ? -1 : 1)),
    );
  }

  /** Carries a plan out, if it is still the one that was confirmed. @throws DwError `recovery-plan-stale`. */
  async carryOut(groupId: string, token: string): Promise<RecoveryNote> {
    const { client, engine } = this.options;
    const plan = await this.plan(groupId);
    if (plan.token !== token) throw recoveryPlanStale(groupId);
    const { newTerm: term, lastIndex, lastTerm } = plan;
    const request: RecoverReplica = { kind: 'recover', groupId, term, lastIndex, lastTerm };
    const note =
      plan.chosen === engine.nodeId
        ? await this.take(request)
        : ((await client.ask(plan.chosen, request)) as unknown as RecoveryNote);
    // The others forget what they have and come back by the leader; each asks for it until it is done.
    for (const node of plan.restored) {
      const wanted = { kind: 'note', groupId, role: 'voter' } as const;
      if (node === engine.nodeId) await this.options.records.set(groupId, { restoreTo: 'voter' });
      else await client.ask(node, wanted).catch((error: unknown) => this.notNoted(groupId, node, error));
    }
    return note;
  }

  /** Where this node's replica stands. */
  inspect(groupId: string): Readonly<Record<string, unknown>> {
    const group = this.options.engine.group(groupId);
    if (group === undefined || group.failed !== undefined) return { state: 'none' };
    const { storage, conf, lastApplied, leader } = group;
    const { commit } = group.raft;
    const lastIndex = storage.lastIndex();
    const lastTerm = storage.term(lastIndex) ?? 0;
    const { nodeId } = this.options.engine;
    const log = { term: group.term, lastIndex, lastTerm, commit, lastApplied };
    return { state: 'held', node: nodeId, ...log, conf, ...(leader === undefined ? {} : { leader }) };
  }

  /** Goes on with this node's replica as the only voter. On disk when it resolves. */
  async take(request: RecoverReplica): Promise<RecoveryNote> {
    const { engine, storage, records, clock, log } = this.options;
    const { groupId, term, lastIndex, lastTerm } = request;
    const group = engine.group(groupId);
    if (group === undefined) throw noReplica(groupId, engine.nodeId, undefined);
    const there = group.storage;
    const same = there.lastIndex() === lastIndex && (there.term(lastIndex) ?? 0) === lastTerm;
    if (!same || group.term >= term || group.leader !== undefined) throw recoveryPlanStale(groupId);
    const note: RecoveryNote = {
      time: new Date(clock.wallTime()).toISOString(),
      by: engine.nodeId,
      voters: [engine.nodeId],
      lastIndex,
    };
    const entries = forcedEntries(engine.nodeId, group, term, note);
    const commit = lastIndex + entries.length;
    await engine.reopenGroup(groupId, group.machine, async () => {
      if (there.lastIndex() !== lastIndex) throw recoveryPlanStale(groupId);
      const hardState = { term, vote: engine.nodeId, commit };
      await storage.write([{ groupId, hardState, entries, snapshot: undefined }]);
      await records.addRecovery(groupId, note);
    });
    log.warn(
      { group: groupId, ...note, term },
      'the group was recovered: it goes on with this replica alone',
    );
    return note;
  }

  private notNoted(groupId: string, node: NodeId, error: unknown): void {
    const fields = { group: groupId, node, reason: errorMessage(error) };
    this.options.log.warn(
      fields,
      'a survivor was not told to come back; add it with POST /v1/groups/{id}/members',
    );
  }
}

/** Entries that leave this node as the only member, whatever the entries before them do. */
function forcedEntries(self: NodeId, group: RaftGroup, term: number, note: RecoveryNote): readonly Entry[] {
  const context = Buffer.from(JSON.stringify({ recovered: note }));
  const others = everMembers(group).filter((node) => node !== self);
  const single = (type: 'add-voter' | 'remove', nodeId: NodeId): ConfChange => ({
    transition: 'auto',
    changes: [{ type, nodeId }],
    context,
  });
  // A change that does not fit the members of its place means nothing: the first one, when nothing is joint.
  const changes = [
    leaveJointChange,
    single('add-voter', self),
    ...others.map((node) => single('remove', node)),
  ];
  const first = group.storage.lastIndex() + 1;
  return changes.map((change, n) => ({
    term,
    index: first + n,
    type: 'conf-change' as const,
    data: encodeConfChange(change),
  }));
}

/** Every node that is a member now or by an entry that is not applied yet. */
function everMembers(group: RaftGroup): readonly NodeId[] {
  const ids = new Set(membersOf(group.conf));
  const { storage } = group;
  const last = storage.lastIndex();
  for (let index = Math.max(group.lastApplied + 1, storage.firstIndex()); index <= last;) {
    const entries = storage.entries(index, last + 1, SCAN_BYTES);
    for (const entry of entries) {
      if (entry.type !== 'conf-change') continue;
      for (const { nodeId } of decodeConfChange(entry.data).changes) ids.add(nodeId);
    }
    index += entries.length;
  }
  return [...ids].filter((id) => id !== '').toSorted();
}

function isSurvivor(value: unknown): value is Survivor {
  if (typeof value !== 'object' || value === null) return false;
  const { node, conf, ...numbers } = value as Readonly<Record<string, unknown>>;
  const names = ['term', 'lastIndex', 'lastTerm', 'commit', 'lastApplied'];
  const whole = names.every((name) => Number.isSafeInteger(numbers[name]));
  return typeof node === 'string' && whole && isConf(conf);
}

function isConf(value: unknown): value is ConfState {
  if (typeof value !== 'object' || value === null) return false;
  const fields = value as Readonly<Record<string, unknown>>;
  return ['voters', 'votersOutgoing', 'learners', 'learnersNext', 'witnesses'].every((name) => {
    const ids = fields[name];
    return Array.isArray(ids) && ids.every((id) => typeof id === 'string');
  });
}
