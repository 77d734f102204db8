// On a node that lost replicas, or has damaged ones: tells its peers what it has until nobody misses anything of it. What
// it was comes back by the leaders of its groups.

import type { Clock, Logger } from '@datawarehouse/sdk';
import { errorMessage } from '@datawarehouse/sdk';
import type { MultiRaftEngine } from '../../engine/multi-raft-engine.js';
import type { NodeStorage } from '../../storage/types.js';
import type { ReplicaClient } from '../replicas/replica-client.js';
import type { ReplicaRecords } from '../replicas/replica-records.js';
import { roleOf } from './repair-leader.js';

const REPORT_MS = 1_000;

/** What it works with. */
export interface RepairWatchOptions {
  readonly engine: MultiRaftEngine;
  readonly storage: NodeStorage;
  readonly client: ReplicaClient;
  readonly records: ReplicaRecords;
  readonly clock: Clock;
  readonly log: Logger;
  /** Whether this node lost its storage once. */
  readonly returning: () => boolean;
}

/** Asks to be brought back. */
export class RepairWatch {
  /** Peers that miss nothing of this node, since something last changed here. */
  private readonly satisfied = new Set<string>();
  /** Who said last that something is missing here; it may have fallen silent since. */
  private readonly missed = new Set<string>();
  private pending: ReadonlySet<string> = new Set();
  private timer: { cancel(): void } | undefined;
  private asking = false;

  constructor(private readonly options: RepairWatchOptions) {}

  /** Groups of which this node should have a replica and has none that is whole, as far as it has been told. */
  get missing(): readonly string[] {
    const damaged = this.options.storage.damagedGroups().map(({ groupId }) => groupId);
    return [...new Set([...damaged, ...this.pending])].toSorted();
  }

  start(): void {
    this.timer = this.options.clock.setInterval(() => this.look(), REPORT_MS);
  }

  stop(): void {
    this.timer?.cancel();
  }

  /** Something changed here: whoever was satisfied may not be any more. */
  again(): void {
    this.satisfied.clear();
  }

  private look(): void {
    if (this.asking) return;
    this.asking = true;
    this.report().then(
      () => {
        this.asking = false;
      },
      (error: unknown) => {
        this.asking = false;
        this.options.log.warn({ reason: errorMessage(error) }, 'could not tell what this node has lost');
      },
    );
  }

  private async report(): Promise<void> {
    const { storage, client, records, returning } = this.options;
    await this.clearNotes();
    const damaged = storage.damagedGroups().map(({ groupId }) => groupId);
    const notes = records.wanted();
    const lost = damaged.length > 0 || Object.keys(notes).length > 0;
    if (!lost && !returning()) {
      this.pending = new Set();
      return;
    }
    // What is whole on the disk, whether it runs or not: a group that lacks its plugin has lost nothing.
    const held = storage.groupIds;
    const pending = new Set<string>();
    // While somebody misses something, and after it died, everybody is asked: who missed nothing may lead by now.
    const nodes = client.nodes();
    for (const peer of this.missed) if (!nodes.has(peer)) this.missed.delete(peer);
    const all = lost || this.missed.size > 0;
    const peers = client.connected().filter((peer) => all || !this.satisfied.has(peer));
    await Promise.all(
      peers.map(async (peer) => {
        const answer = await client
          .ask(peer, { kind: 'report', held, damaged, notes })
          // No answer says nothing: the peer counts neither as satisfied nor as missing something, and is asked again.
          .catch(() => undefined);
        const groups = answer?.['pending'];
        if (!Array.isArray(groups)) return;
        if (groups.length === 0) {
          this.satisfied.add(peer);
          this.missed.delete(peer);
        } else this.missed.add(peer);
        for (const id of groups) if (typeof id === 'string') pending.add(id);
      }),
    );
    this.pending = pending;
  }

  /** Whoever is what it was needs no note of it. */
  private async clearNotes(): Promise<void> {
    const { engine, records } = this.options;
    for (const [id, role] of Object.entries(records.wanted())) {
      const group = engine.group(id);
      if (group === undefined || roleOf(group.conf, engine.nodeId) !== role) continue;
      // Its own members may be those of long ago, which it is still catching up from.
      if (group.leader === undefined || group.lastApplied < records.of(id).openedAt) continue;
      await records.set(id, { restoreTo: undefined });
    }
  }
}
