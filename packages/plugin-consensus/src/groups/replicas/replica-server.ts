// Answers what other nodes ask about this node's replicas. Nothing is taken from a node that has not introduced itself.

import type { Clock, IPeerTransport, Logger } from '@datawarehouse/sdk';
import { membersOf } from '../../engine/group-conf.js';
import type { MultiRaftEngine } from '../../engine/multi-raft-engine.js';
import type { PeerGate } from '../../engine/peer-gate.js';
import type { RaftGroup } from '../../engine/raft-group.js';
import { overloaded } from '../../errors.js';
import { heartbeatMessage } from '../../raft/message.js';
import { peerNotIntroduced, replicaRequestRefused } from '../members/member-errors.js';
import type { MemberChanges } from '../members/member-changes.js';
import type { GroupRecovery } from '../repair/group-recovery.js';
import type { RepairLeader } from '../repair/repair-leader.js';
import type { GroupTurns } from './group-turns.js';
import type { OpenReplica, ReplicaRequest } from './replica-messages.js';
import { REPLICA_CHANNEL, decodeReplicaRequest, encodeAnswer } from './replica-messages.js';
import type { ReplicaRecords } from './replica-records.js';
import { isDamage } from './replica-records.js';
import type { ReplicaRemoval } from './replica-removal.js';

/** Requests served at once; more are refused. */
const MAX_SERVING = 256;

/** What it works with. */
export interface ReplicaServerOptions {
  readonly engine: MultiRaftEngine;
  readonly transport: IPeerTransport;
  readonly gate: PeerGate;
  readonly records: ReplicaRecords;
  readonly turns: GroupTurns;
  readonly removal: ReplicaRemoval;
  readonly changes: MemberChanges;
  readonly repairs: RepairLeader;
  readonly recovery: GroupRecovery;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Serves requests about replicas. */
export class ReplicaServer {
  private handler: Disposable | undefined;
  private serving = 0;

  constructor(private readonly options: ReplicaServerOptions) {}

  start(): void {
    this.handler = this.options.transport.handle(REPLICA_CHANNEL, {
      onRequest: async (from, payload) => {
        if (this.serving >= MAX_SERVING)
          throw overloaded('requests about replicas', 'maxConcurrentOperations', 500);
        this.serving++;
        try {
          return encodeAnswer(await this.serve(from, decodeReplicaRequest(payload)));
        } finally {
          this.serving--;
        }
      },
    });
  }

  stop(): void {
    this.handler?.[Symbol.dispose]();
  }

  private async serve(from: string, request: ReplicaRequest): Promise<unknown> {
    const { gate, removal, records, changes, repairs, recovery } = this.options;
    if (request.kind !== 'report' && !gate.accepts(from)) throw peerNotIntroduced(from);
    switch (request.kind) {
      case 'open':
        return this.options.turns.run(request.groupId, () => this.open(from, request));
      case 'destroy':
        // Not because it says so, but because it is a reason to ask.
        return { destroyed: await removal.check(request.groupId, [from]) };
      case 'ask':
        return removal.answer(request.groupId, from);
      case 'note':
        await records.set(request.groupId, { restoreTo: request.role });
        return {};
      case 'report':
        return { pending: repairs.report(from, request) };
      case 'change':
        return changes.change(request.groupId, request);
      case 'inspect':
        return recovery.inspect(request.groupId);
      case 'recover':
        return recovery.take(request);
    }
  }

  private async open(from: string, request: OpenReplica): Promise<unknown> {
    const { engine, records, log } = this.options;
    const { groupId, bootstrap, machine, term, index, replace, recovered } = request;
    if (index === 0 && membersOf(bootstrap).includes(engine.nodeId)) {
      throw replicaRequestRefused(
        groupId,
        'nothing would keep a replica that begins as a member from voting',
      );
    }
    const there = engine.group(groupId);
    if (there?.isLeader === true) throw replicaRequestRefused(groupId, 'this node leads the group');
    const { openedAt, askedIn, readyAt } = records.of(groupId);
    // Who led before may still ask when its successor has asked, and the group counts on what came of that.
    if (term < askedIn) throw replicaRequestRefused(groupId, 'a later leader has asked for it since');
    const done = term > askedIn ? 0 : readyAt;
    // First the note, then the replica: what is older than the note is not about the replica.
    const noted = { machine, openedAt: Math.max(index, openedAt), askedIn: term, readyAt: done };
    await records.set(groupId, noted);
    for (const note of recovered) await records.addRecovery(groupId, note);
    if (there !== undefined && index <= done) return { opened: false };
    const opened = there === undefined || replace;
    if (opened) {
      const group = await this.openEmpty(request);
      // It begins in the term of who asked: what earlier leaders said to the replica of before is not about this one.
      group.step(heartbeatMessage(engine.nodeId, from, term, 0, ''));
    }
    await records.set(groupId, { readyAt: Math.max(index, done) });
    if (opened) {
      log.info({ group: groupId, by: from, replace }, 'opened an empty replica at the request of the leader');
    }
    return { opened };
  }

  private async openEmpty(request: OpenReplica): Promise<RaftGroup> {
    const { engine } = this.options;
    const { groupId, bootstrap, machine, replace } = request;
    try {
      if (replace) return await engine.replaceGroup(groupId, bootstrap, machine);
      return await engine.openGroup(groupId, bootstrap, machine);
    } catch (error) {
      if (!isDamage(error) || replace) throw error;
      // What is left of a replica of before, which the group does not count on: a new one may take its place.
      return engine.replaceGroup(groupId, bootstrap, machine);
    }
  }
}
