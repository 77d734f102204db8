// The replicas of one node: which groups are open, and the one way in which a group is opened, closed or destroyed while
// the others run. What is done to one group is done in order; nothing is done to two groups at once by accident, because
// each has its own queue.

import { bootstrapConf } from '../groups/placement.js';
import type { ConfState } from '../raft/types.js';
import type { GroupStorage, NodeStorage } from '../storage/types.js';
import type { RaftGroup } from './raft-group.js';

/** What the table asks of the engine. */
export interface ReplicaHost {
  /** Loads a group's state and starts its core. */
  load(id: string, machine: string, storage: GroupStorage): Promise<RaftGroup>;
  /** A group was added; it is to be driven from now on. */
  opened(group: RaftGroup): void;
  /** A group is gone: nothing of it may be driven, written or sent any more. */
  closed(group: RaftGroup): void;
}

/** The open groups of a node. */
export class Replicas {
  private readonly groups = new Map<string, RaftGroup>();
  /** All of them. Made anew when one comes or goes: it is gone through in every turn. */
  private list: readonly RaftGroup[] = [];
  /** The end of what is being done to each group. One entry for each group that is busy. */
  private readonly queues = new Map<string, Promise<unknown>>();

  constructor(
    private readonly storage: NodeStorage,
    private readonly host: ReplicaHost,
  ) {}

  /** The open groups, in the order in which they were opened. */
  all(): readonly RaftGroup[] {
    return this.list;
  }

  get(id: string): RaftGroup | undefined {
    return this.groups.get(id);
  }

  /** Opens a group on what the disk holds of it; if that is nothing, with these members at index 0. Open already: no-op. */
  open(id: string, bootstrap: ConfState, machine: string): Promise<RaftGroup> {
    return this.inTurn(id, async () => {
      const open = this.groups.get(id);
      if (open !== undefined) return open;
      return this.load(id, machine, await this.storage.openGroup(id, bootstrap));
    });
  }

  /** Closes a group; its files stay. Not open: no-op. */
  close(id: string): Promise<void> {
    return this.inTurn(id, () => this.closeNow(id));
  }

  /** Closes a group and removes all that this node has of it. */
  destroy(id: string): Promise<void> {
    return this.inTurn(id, async () => {
      await this.closeNow(id);
      await this.storage.destroyGroup(id);
    });
  }

  /** Closes a group and puts an empty one in its place, also if what was there cannot be opened. */
  replace(id: string, bootstrap: ConfState, machine: string): Promise<RaftGroup> {
    return this.inTurn(id, async () => {
      await this.closeNow(id);
      return this.load(id, machine, await this.storage.replaceGroup(id, bootstrap));
    });
  }

  /** Closes a group, does something to what its disk holds, and opens it again, also if that fails. */
  reopen(id: string, machine: string, between: () => Promise<void>): Promise<RaftGroup> {
    return this.inTurn(id, async () => {
      await this.closeNow(id);
      try {
        await between();
      } finally {
        // It is there already: the members of a new group do not matter.
        await this.load(id, machine, await this.storage.openGroup(id, bootstrapConf([])));
      }
      return this.groups.get(id) as RaftGroup;
    });
  }

  private async load(id: string, machine: string, storage: GroupStorage): Promise<RaftGroup> {
    const group = await this.host.load(id, machine, storage);
    this.groups.set(id, group);
    this.list = [...this.groups.values()];
    this.host.opened(group);
    return group;
  }

  private async closeNow(id: string): Promise<void> {
    const group = this.groups.get(id);
    if (group === undefined) return;
    this.groups.delete(id);
    this.list = [...this.groups.values()];
    this.host.closed(group);
    await group.snapshots.close();
  }

  private async inTurn<T>(id: string, work: () => Promise<T>): Promise<T> {
    const before = this.queues.get(id);
    const done = (async () => {
      // Whoever asked for what came before hears of its failure; what comes after looks at how things are.
      await before?.catch(() => undefined);
      return work();
    })();
    this.queues.set(id, done);
    try {
      return await done;
    } finally {
      if (this.queues.get(id) === done) this.queues.delete(id);
    }
  }
}
