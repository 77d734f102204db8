// How groups of a node's storage come and go: opened, found damaged, destroyed, replaced. For each group id one of these
// happens at a time. What makes each safe against a crash:
//
//   create    the checkpoint comes first; nothing is believed of a group that has none
//   destroy   a tombstone takes the checkpoint's place, then files go; it stays until the journal has no record of the
//             group, so that those records are passed over and are no sign of a lost checkpoint
//   replace   a mark says that the group is damaged, then its files are moved aside, a new checkpoint is stored, and the
//             mark goes last; while it is there the group is damaged, whatever else is

import type { IAppendLog } from '@datawarehouse/sdk';
import type { ConfState } from '../raft/types.js';
import { groupDamaged, groupNotOpen } from './errors.js';
import type { FileGroupStorage, GroupHost } from './file-group-storage.js';
import type { StorageSettings } from './file-node-storage-options.js';
import { damageName, saveDamage } from './group-damage.js';
import { type WriterHooks, createGroup } from './group-factory.js';
import { moveGroupAside, removeDamageMark, removeGroupData } from './group-files.js';
import { checkGroupId } from './group-id.js';
import { metaName, saveTombstone } from './group-meta.js';
import type { GroupTasks } from './group-tasks.js';
import type { GroupDamage } from './types.js';

/** What is needed of the node. */
export interface LivesHost {
  readonly settings: StorageSettings;
  readonly log: IAppendLog;
  readonly host: GroupHost;
  readonly hooks: WriterHooks;
  readonly tasks: GroupTasks;
  /** Groups that are open. */
  readonly groups: Map<string, FileGroupStorage>;
  /** @throws DwError when the storage takes nothing any more. */
  readonly check: () => void;
  /** Ends the storage. @returns the error that it ended with. */
  readonly fail: (doing: string, cause: unknown) => Error;
  /** Resolves when every journal record handed over so far is on disk. @returns the position after them. */
  readonly journalEnd: () => Promise<number>;
}

/** The lives of a node's groups. */
export class GroupLives {
  readonly #host: LivesHost;
  /** The last thing under way or done for an id; gone when it is done. */
  readonly #turns = new Map<string, Promise<unknown>>();
  readonly #damaged = new Map<string, GroupDamage>();
  /** Groups that were destroyed, and where the journal may still speak of them. */
  readonly #tombstones = new Map<string, number>();
  /** Groups that are being taken away: not open any more, not closed yet. */
  readonly #leaving = new Set<FileGroupStorage>();
  readonly #listeners: ((damage: GroupDamage) => void)[] = [];

  constructor(host: LivesHost) {
    this.#host = host;
  }

  /** Damaged groups, sorted. */
  get damaged(): readonly GroupDamage[] {
    return [...this.#damaged.values()].sort((a, b) => (a.groupId < b.groupId ? -1 : 1));
  }

  /** Whether a group is known to be damaged. */
  isDamaged(groupId: string): boolean {
    return this.#damaged.has(groupId);
  }

  /** Groups that are open no more, but whole if the machine died now: the journal still owes them what it has. */
  get leaving(): Iterable<FileGroupStorage> {
    return this.#leaving;
  }

  /** As `NodeStorage.onGroupDamaged`. */
  onDamaged(listener: (damage: GroupDamage) => void): void {
    this.#listeners.push(listener);
  }

  /** Takes over what recovery found. */
  recovered(damaged: Iterable<GroupDamage>, tombstones: ReadonlyMap<string, number>): void {
    for (const damage of damaged) this.#damaged.set(damage.groupId, damage);
    for (const [groupId, position] of tombstones) this.#tombstones.set(groupId, position);
  }

  /** As `NodeStorage.openGroup`. */
  open(groupId: string, bootstrap: ConfState): Promise<FileGroupStorage> {
    return this.#inTurn(groupId, async () => {
      this.#host.check();
      const open = this.#host.groups.get(groupId);
      if (open !== undefined) return open;
      const damage = this.#damaged.get(groupId);
      if (damage !== undefined) throw groupDamaged(damage);
      // Not `nextPosition`: what is under way may be lost in a crash, and would then seem to be missing.
      const { durablePosition } = this.#host.log;
      return this.#doing(`making group ${groupId}`, () => this.#create(groupId, bootstrap, durablePosition));
    });
  }

  /** As `NodeStorage.destroyGroup`. */
  async destroy(groupId: string): Promise<void> {
    this.#host.check();
    this.#refuseWrites(groupId);
    await this.#inTurn(groupId, async () => {
      const group = await this.#takeAway(groupId);
      if (group === undefined && !this.#damaged.has(groupId)) return;
      await this.#doing(`destroying group ${groupId}`, () => this.#bury(groupId));
      if (group !== undefined) this.#leaving.delete(group);
    });
  }

  /** As `NodeStorage.replaceGroup`. */
  async replace(groupId: string, bootstrap: ConfState): Promise<FileGroupStorage> {
    this.#host.check();
    this.#refuseWrites(groupId);
    return this.#inTurn(groupId, async () => {
      const group = await this.#takeAway(groupId);
      return this.#doing(`replacing group ${groupId}`, async () => {
        if (group !== undefined && !this.#damaged.has(groupId))
          await this.#mark(this.#replacedDamage(groupId));
        if (group !== undefined) this.#leaving.delete(group);
        return this.#damaged.has(groupId)
          ? this.#createInPlace(groupId, bootstrap)
          : this.#create(groupId, bootstrap, this.#host.log.durablePosition);
      });
    });
  }

  /**
   * Notes that a group's files are damaged, once: marks it on disk, so that it is damaged after a restart as well, and
   * tells the listeners. The group stays open for those parts of it that are sound.
   */
  async found(damage: GroupDamage): Promise<void> {
    const { groupId } = damage;
    if (this.#damaged.has(groupId)) return;
    this.#damaged.set(groupId, damage);
    for (const listener of this.#listeners) queueMicrotask(() => listener(damage));
    await this.#inTurn(groupId, async () => {
      // Replaced or destroyed meanwhile.
      if (this.#damaged.get(groupId) !== damage) return;
      await this.#doing(`marking group ${groupId} as damaged`, () =>
        saveDamage(this.#host.settings.files, damage),
      );
    });
  }

  /** Closes a group that recovery opened and then found damaged. */
  async takeAwayDamaged(group: FileGroupStorage): Promise<void> {
    const { groups, host } = this.#host;
    const { groupId, writer } = group;
    groups.delete(groupId);
    await host.inQueue(writer, async () => {
      writer.retire(groupNotOpen(groupId));
      await writer.close();
    });
  }

  /** Removes tombstones of groups that the journal does not speak of any more. */
  async purge(): Promise<void> {
    const { log, settings } = this.#host;
    for (const [groupId, position] of this.#tombstones) {
      if (position > log.firstPosition) continue;
      await this.#inTurn(groupId, async () => {
        // Meanwhile a new group may have taken the name.
        if (this.#tombstones.get(groupId) !== position) return;
        this.#tombstones.delete(groupId);
        await settings.files.remove(metaName(groupId));
      });
    }
  }

  /** Resolves when nothing is under way. */
  async settled(): Promise<void> {
    while (this.#turns.size > 0) await Promise.allSettled(this.#turns.values());
  }

  /** Runs `job` when everything before it for this id is through. */
  #inTurn<T>(groupId: string, job: () => Promise<T>): Promise<T> {
    checkGroupId(groupId);
    const before = this.#turns.get(groupId);
    // How the one before ended was told to whoever asked for it.
    const turn = before === undefined ? job() : before.then(job, job);
    this.#turns.set(groupId, turn);
    void this.#forget(groupId, turn);
    return turn;
  }

  async #forget(groupId: string, turn: Promise<unknown>): Promise<void> {
    await Promise.allSettled([turn]);
    if (this.#turns.get(groupId) === turn) this.#turns.delete(groupId);
  }

  async #doing<T>(what: string, job: () => Promise<T>): Promise<T> {
    try {
      return await job();
    } catch (error) {
      // Closed or failed meanwhile: that is why.
      this.#host.check();
      throw this.#host.fail(what, error);
    }
  }

  async #create(groupId: string, bootstrap: ConfState, journalPosition: number): Promise<FileGroupStorage> {
    const { settings, host, hooks, groups, check } = this.#host;
    // The new checkpoint takes the tombstone's place.
    this.#tombstones.delete(groupId);
    const group = await createGroup(settings, host, groupId, bootstrap, journalPosition, hooks);
    check();
    groups.set(groupId, group);
    return group;
  }

  /** A new group where one is marked as damaged. */
  async #createInPlace(groupId: string, bootstrap: ConfState): Promise<FileGroupStorage> {
    const { settings, host, hooks, groups, check, journalEnd } = this.#host;
    await moveGroupAside(settings.files, groupId, settings.keepDamaged);
    // The journal may still speak of the group that was.
    const journalPosition = await journalEnd();
    const group = await createGroup(settings, host, groupId, bootstrap, journalPosition, hooks);
    await removeDamageMark(settings.files, groupId);
    check();
    this.#damaged.delete(groupId);
    groups.set(groupId, group);
    return group;
  }

  #refuseWrites(groupId: string): void {
    const { groups } = this.#host;
    const group = groups.get(groupId);
    if (group === undefined) return;
    groups.delete(groupId);
    group.leave();
    this.#leaving.add(group);
  }

  /** Closes a group, after everything that was handed over for it. @returns it, if it was open. */
  async #takeAway(groupId: string): Promise<FileGroupStorage | undefined> {
    const { host, tasks, check } = this.#host;
    check();
    // One that was opened after the call was made and before its turn came.
    this.#refuseWrites(groupId);
    const group = [...this.#leaving].find((one) => one.groupId === groupId);
    if (group === undefined) return undefined;
    const gone = groupNotOpen(groupId);
    tasks.abort(gone, groupId);
    await tasks.settled(groupId);
    await group.close();
    // How a write under way ends is told to whoever made it.
    await host.settled().catch(() => undefined);
    check();
    await host.inQueue(group.writer, async () => {
      group.writer.retire(gone);
      await group.writer.close();
    });
    return group;
  }

  async #bury(groupId: string): Promise<void> {
    const { settings, journalEnd } = this.#host;
    // All that was ever written for the group is on disk below this, and nothing can follow.
    const journalPosition = await journalEnd();
    await saveTombstone(settings.files, { groupId, journalPosition });
    await removeGroupData(settings.files, groupId);
    this.#damaged.delete(groupId);
    this.#tombstones.set(groupId, journalPosition);
  }

  async #mark(damage: GroupDamage): Promise<void> {
    await saveDamage(this.#host.settings.files, damage);
    this.#damaged.set(damage.groupId, damage);
  }

  #replacedDamage(groupId: string): GroupDamage {
    const file = `${this.#host.settings.files.directory}/${damageName(groupId)}`;
    return { groupId, file, offset: 0, reason: 'it is being replaced, as was asked for' };
  }
}
