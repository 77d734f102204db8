// The node behind the client port, for real: the engine's groups here, the router for what is led elsewhere.

import type { Clock, DwError } from '@datawarehouse/sdk';
import { isDwError } from '@datawarehouse/sdk';
import type { ClusterTopology, ListedKey, WatchedChange } from '@datawarehouse/sdk/client-protocol';
import type { EntryKind } from '../engine/entry-envelope.js';
import type { MultiRaftEngine } from '../engine/multi-raft-engine.js';
import type { ProposalResult } from '../engine/proposal.js';
import type { RaftGroup } from '../engine/raft-group.js';
import { groupUnknown, noLeader, notLeader, outcomeUnknown } from '../errors.js';
import { keyValuesOf } from '../groups/group-key-values.js';
import type { GroupRouter } from '../groups/group-router.js';
import { versionCompacted } from '../state/errors.js';
import type { KeyChange } from '../state/history/change-history.js';
import type { ClientBackend, StoredValue } from './client-backend.js';
import type { ChangeSource } from './watch-stream.js';

function toldChange({ key, version, value }: KeyChange): WatchedChange {
  return value === undefined ? { kind: 'delete', key, version } : { kind: 'put', key, version, value };
}

/** Limits that the client port obeys; asked at each use. */
export interface BackendLimits {
  readonly maxValueBytes: number;
  readonly requestTimeoutMs: number;
}

/** Serves a client port from this node's engine. */
export class EngineBackend implements ClientBackend {
  constructor(
    private readonly engine: MultiRaftEngine,
    private readonly router: GroupRouter,
    private readonly clock: Clock,
    private readonly groupIds: () => readonly string[],
    readonly groupOf: (key: string) => string,
    private readonly limits: () => BackendLimits,
  ) {}

  get nodeId(): string {
    return this.engine.nodeId;
  }

  get maxValueBytes(): number {
    return this.limits().maxValueBytes;
  }

  get requestTimeoutMs(): number {
    return this.limits().requestTimeoutMs;
  }

  now(): number {
    return this.clock.now();
  }

  groups(): ClusterTopology['groups'] {
    return this.groupIds().map((id) => {
      const group = this.engine.group(id);
      const leader = group?.leader;
      return { id, term: group?.term ?? 0, ...(leader === undefined ? {} : { leader }) };
    });
  }

  leads(groupId: string): boolean {
    return this.engine.group(groupId)?.isLeader === true;
  }

  leader(groupId: string): string | undefined {
    return this.engine.group(groupId)?.leader;
  }

  serves(groupId: string): boolean {
    return this.engine.group(groupId) !== undefined && this.router.local.serves(groupId);
  }

  submit(
    groupId: string,
    kind: EntryKind,
    data: Uint8Array,
    deadline: number,
    done: (result: ProposalResult) => void,
  ): () => void {
    const group = this.find(groupId);
    const { engine } = this;
    const proposal = group.submit(kind, data, deadline, (result) => {
      if (result.ok) engine.commitLatency.record(engine.clock.now() - proposal.submittedAt);
      done(result);
    });
    return () => group.abandon(proposal);
  }

  read(
    groupId: string,
    mode: 'linearizable' | 'lease',
    deadline: number,
    done: (error: DwError | undefined) => void,
  ): void {
    const group = this.find(groupId);
    group.read(
      deadline,
      (error) => {
        if (error !== undefined && group.leader === undefined) done(noLeader(groupId));
        else done(error);
      },
      mode === 'lease' ? 'lease' : 'safe',
    );
  }

  get(groupId: string, key: string): StoredValue | undefined {
    return keyValuesOf(this.find(groupId)).get(key);
  }

  list(groupId: string, prefix: string, after: string | undefined, limit: number): readonly ListedKey[] {
    return keyValuesOf(this.find(groupId)).list(prefix, after, limit);
  }

  relayWrite(
    groupId: string,
    kind: EntryKind,
    data: Uint8Array,
    repeatable: boolean,
    settled: (result: ProposalResult) => void,
  ): () => void {
    const abort = new AbortController();
    this.router.propose(groupId, kind, data, repeatable, abort.signal).then(
      ({ index, outcome }) => settled({ ok: true, index, outcome }),
      (error: unknown) => {
        const known = isDwError(error) ? error : outcomeUnknown(groupId, String(error));
        settled({ ok: false, error: known });
      },
    );
    return () => abort.abort();
  }

  changes(groupId: string, elsewhere: boolean): ChangeSource {
    const group = this.find(groupId);
    return {
      lastApplied: () => group.lastApplied,
      changesAfter: (after, prefix, limit) => {
        const found = keyValuesOf(group).changesAfter(after, prefix, group.lastApplied, limit);
        if ('compacted' in found) throw versionCompacted(groupId, after, found.oldest);
        return { through: found.upTo, changes: found.changes.map(toldChange) };
      },
      onApplied: (listener) => group.onApplied(listener),
      refusal: () => {
        if (group.ended !== undefined) return group.ended;
        return elsewhere || group.isLeader ? undefined : notLeader(groupId, group.leader);
      },
    };
  }

  async relayGet(groupId: string, key: string): Promise<StoredValue | undefined> {
    return this.router.get(groupId, key);
  }

  async relayList(
    groupId: string,
    prefix: string,
    after: string | undefined,
    limit: number,
  ): Promise<readonly ListedKey[]> {
    return this.router.list(groupId, prefix, after, limit);
  }

  private find(groupId: string): RaftGroup {
    const group = this.engine.group(groupId);
    if (group === undefined) throw groupUnknown(groupId);
    return group;
  }
}
