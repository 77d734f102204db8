// Opening a node's storage: the checkpoints say what the segment files hold, and the journal what came after. Only what
// a checkpoint vouches for is read from segments; anything beyond it, torn or whole, is cut, because the journal has it.
// What a checkpoint or an acknowledged journal record vouches for and is not there is damage, and named. Damage of one
// group's files makes that group damaged and stops no other; damage of the journal, which is everybody's, ends it.

import { type IAppendLog, errorMessage } from '@datawarehouse/sdk';
import { logDamaged } from './errors.js';
import type { FileGroupStorage, GroupHost } from './file-group-storage.js';
import type { StorageSettings } from './file-node-storage-options.js';
import { damageOf, loadDamage, parseDamageName, readingGroup, saveDamage } from './group-damage.js';
import { type WriterHooks, openGroup } from './group-factory.js';
import { groupOfDataFile, removeGroupData } from './group-files.js';
import { type GroupMeta, loadCheckpoint, metaName, parseMetaName } from './group-meta.js';
import { type JournalRecord, decodeJournalRecord, encodeJournalRecord } from './journal-record.js';
import { type LogBounds, type LogChange, checkChange } from './log-change.js';
import { segmentFilesByGroup } from './segmented-raft-log.js';
import { parsePartName, parseSnapshotName, snapshotName } from './snapshot-format.js';
import { checkSnapshot } from './snapshot-reader.js';
import type { GroupDamage } from './types.js';

/** What recovery works on. */
export interface RecoveryTarget {
  readonly settings: StorageSettings;
  readonly log: IAppendLog;
  readonly host: GroupHost;
  readonly hooks: WriterHooks;
  /** Filled with the groups that are found and whole. */
  readonly groups: Map<string, FileGroupStorage>;
  /** Takes changes that are in the journal at `position`. */
  readonly replay: (changes: readonly LogChange[], position: number) => Promise<void>;
  /** Closes a group and takes it out of `groups`. */
  readonly takeAway: (group: FileGroupStorage) => Promise<void>;
}

/** What was found besides groups. */
export interface RecoveredNode {
  /** The storage's id. */
  readonly id: string;
  /** Whether there was nothing, and the storage was made now. */
  readonly fresh: boolean;
  readonly damaged: readonly GroupDamage[];
  /** Groups that were destroyed, and the journal position below which it may still speak of them. */
  readonly tombstones: ReadonlyMap<string, number>;
}

/** Opens every group and replays the journal. @throws DwError `raft-log-damaged` when the journal is. */
export function recoverNode(target: RecoveryTarget): Promise<RecoveredNode> {
  return new Recovery(target).run();
}

class Recovery {
  readonly #metas = new Map<string, GroupMeta>();
  readonly #tombstones = new Map<string, number>();
  readonly #damaged = new Map<string, GroupDamage>();
  /** Of those, the ones that have their mark on disk. */
  readonly #marked = new Set<string>();
  #storageId = '';

  constructor(private readonly target: RecoveryTarget) {}

  async run(): Promise<RecoveredNode> {
    const { settings, log, groups } = this.target;
    const { files } = settings;
    const names = await files.list();
    for (const name of names) if (name.endsWith('.tmp')) await files.remove(name);
    this.#checkJournalThere(names);
    await this.#loadCheckpoints(names);
    this.#findOrphans(names);
    this.#checkJournalReaches();
    for (const groupId of this.#tombstones.keys()) await removeGroupData(files, groupId);
    const segments = segmentFilesByGroup(names);
    for (const [groupId, meta] of [...this.#metas].sort(([a], [b]) => (a < b ? -1 : 1))) {
      await this.#openGroup(groupId, meta, segments.get(groupId) ?? []);
    }
    await this.#replayJournal();
    for (const group of groups.values()) await this.#checkSnapshot(group);
    await this.#takeDamagedAway();
    const fresh = log.nextPosition === 1;
    if (this.#storageId === '') {
      // The first record, so that a journal that lost everything cannot pass for a new one.
      this.#storageId = settings.randomBytes(16).toString('hex');
      await log.append(...encodeJournalRecord({ kind: 'created', id: this.#storageId }));
    }
    await this.#removeLeftSnapshots(names);
    return {
      id: this.#storageId,
      fresh,
      damaged: [...this.#damaged.values()],
      tombstones: this.#tombstones,
    };
  }

  /** A journal without records is that of a new storage, which has no groups. */
  #checkJournalThere(names: readonly string[]): void {
    const { log, settings } = this.target;
    const ofGroup = names.find(
      (name) => parseMetaName(name) ?? parseDamageName(name) ?? groupOfDataFile(name),
    );
    if (log.nextPosition > 1 || ofGroup === undefined) return;
    throw logDamaged(settings.journalDirectory, 0, `the journal is empty, but there is ${ofGroup}`);
  }

  async #loadCheckpoints(names: readonly string[]): Promise<void> {
    const { files } = this.target.settings;
    for (const name of names) {
      const groupId = parseDamageName(name);
      if (groupId === undefined) continue;
      this.#damaged.set(groupId, await loadDamage(files, groupId));
      this.#marked.add(groupId);
    }
    for (const name of names) {
      const groupId = parseMetaName(name);
      if (groupId !== undefined) await this.#attributed(groupId, () => this.#loadCheckpoint(groupId));
    }
  }

  async #loadCheckpoint(groupId: string): Promise<void> {
    const { files } = this.target.settings;
    const path = `${files.directory}/${metaName(groupId)}`;
    const found = await readingGroup(path, () => loadCheckpoint(files, groupId));
    if (found.kind === 'destroyed') {
      this.#tombstones.set(groupId, found.tombstone.journalPosition);
      // It was to be destroyed, and damage does not make it whole.
      this.#damaged.delete(groupId);
      this.#marked.delete(groupId);
    } else if (!this.#damaged.has(groupId)) {
      this.#metas.set(groupId, found.meta);
    }
  }

  /** Files of a group whose checkpoint is not there. */
  #findOrphans(names: readonly string[]): void {
    for (const name of names) {
      const groupId = parsePartName(name) === undefined ? groupOfDataFile(name) : undefined;
      if (groupId !== undefined && !this.#isKnown(groupId))
        this.#missesCheckpoint(groupId, `there is ${name}`);
    }
  }

  #isKnown(groupId: string): boolean {
    return this.#metas.has(groupId) || this.#tombstones.has(groupId) || this.#damaged.has(groupId);
  }

  #missesCheckpoint(groupId: string, but: string): void {
    const file = `${this.target.settings.files.directory}/${metaName(groupId)}`;
    const reason = `the file is missing, but ${but}`;
    this.#damaged.set(groupId, { groupId, file, offset: 0, reason });
  }

  /** A journal that ends before a checkpoint was made has lost votes and entries that were acknowledged. */
  #checkJournalReaches(): void {
    const { log, settings } = this.target;
    const positions = new Map(this.#tombstones);
    for (const [groupId, { journalPosition }] of this.#metas) positions.set(groupId, journalPosition);
    for (const [groupId, position] of positions) {
      if (position <= log.nextPosition) continue;
      const why = `the journal ends at record ${log.nextPosition - 1}, but group ${groupId} was written up to ${position - 1}`;
      throw logDamaged(settings.journalDirectory, 0, why);
    }
  }

  async #openGroup(groupId: string, meta: GroupMeta, present: readonly string[]): Promise<void> {
    const { settings, host, hooks, groups } = this.target;
    await this.#attributed(groupId, async () => {
      groups.set(groupId, await openGroup(settings, host, meta, present, hooks));
    });
  }

  async #replayJournal(): Promise<void> {
    const { log, settings } = this.target;
    const first = log.firstPosition;
    let keptFrom = 1;
    for await (const { position, data } of log.scan()) {
      const record = decoded(settings.journalDirectory, position, data);
      if (record.kind === 'created' || (record.kind === 'kept' && record.id !== ''))
        this.#storageId = record.id;
      if (record.kind === 'created') continue;
      if (record.kind === 'kept') keptFrom = Math.max(keptFrom, record.from);
      await this.#replayRecord(record.changes, position);
    }
    if (first > keptFrom) {
      const why = `the journal begins at record ${first}, but everything from ${keptFrom} on must be there`;
      throw logDamaged(settings.journalDirectory, 0, why);
    }
  }

  async #replayRecord(changes: readonly LogChange[], position: number): Promise<void> {
    const wanted: LogChange[] = [];
    const bounds = new Map<string, LogBounds>();
    for (const change of changes) {
      const { groupId } = change;
      if (position < (this.#tombstones.get(groupId) ?? 0)) continue;
      const journalPosition = this.#metas.get(groupId)?.journalPosition;
      if (journalPosition === undefined && !this.#damaged.has(groupId)) {
        this.#missesCheckpoint(groupId, `the journal speaks of the group in record ${position}`);
      }
      if (journalPosition === undefined || this.#damaged.has(groupId) || position < journalPosition) continue;
      const before = bounds.get(groupId) ?? this.target.groups.get(groupId)?.view.bounds;
      if (before === undefined) throw new Error(`group ${groupId} is neither open nor damaged`);
      const rest = withoutCovered(change, before.snapshotIndex);
      const followed = await this.#attributed(groupId, async () => {
        bounds.set(groupId, this.#follows(rest, before, position));
      });
      if (followed) wanted.push(rest);
    }
    if (wanted.length > 0) await this.target.replay(wanted, position);
  }

  /** @throws DwError `raft-log-damaged` when a change does not fit what the group's files hold. */
  #follows(change: LogChange, before: LogBounds, position: number): LogBounds {
    try {
      return checkChange(change, before);
    } catch (error) {
      const place = `${this.target.settings.journalDirectory} (record ${position})`;
      throw logDamaged(place, 0, `it does not follow what is there: ${errorMessage(error)}`, error);
    }
  }

  async #checkSnapshot(group: FileGroupStorage): Promise<void> {
    const { files } = this.target.settings;
    const { snapshot } = group.view;
    if (snapshot === undefined) return;
    const path = `${files.directory}/${snapshotName(group.groupId, snapshot)}`;
    await this.#attributed(group.groupId, () =>
      readingGroup(path, () => checkSnapshot(files, group.groupId, snapshot)),
    );
  }

  /** Runs a step for a group and notes damage that it finds. @returns whether it found none. */
  async #attributed(groupId: string, step: () => Promise<void>): Promise<boolean> {
    try {
      await step();
      return true;
    } catch (error) {
      const damage = damageOf(groupId, error);
      if (damage === undefined) throw error;
      if (!this.#damaged.has(groupId)) this.#damaged.set(groupId, damage);
      return false;
    }
  }

  /** Closes what turned out damaged, and marks it before the journal can drop anything of it. */
  async #takeDamagedAway(): Promise<void> {
    const { groups, takeAway, settings } = this.target;
    for (const [groupId, damage] of this.#damaged) {
      const group = groups.get(groupId);
      if (group !== undefined) await takeAway(group);
      if (!this.#marked.has(groupId)) await saveDamage(settings.files, damage);
    }
  }

  /** Snapshots that were being received, or were replaced, when the node stopped. */
  async #removeLeftSnapshots(names: readonly string[]): Promise<void> {
    for (const name of names) {
      const partOf = parsePartName(name);
      // What was received in part is gone on with when the leader sends the same again.
      if (partOf !== undefined && !this.target.groups.has(partOf) && !this.#damaged.has(partOf)) {
        await this.target.settings.files.remove(name);
      }
      const groupId = parseSnapshotName(name);
      const group = groupId === undefined ? undefined : this.target.groups.get(groupId);
      if (group !== undefined && !group.usesSnapshotFile(name)) await this.target.settings.files.remove(name);
    }
  }
}

/** A change without what a snapshot covers already: a checkpoint may be made in the middle of a record. */
function withoutCovered(change: LogChange, snapshotIndex: number): LogChange {
  const { groupId, hardState, snapshot, truncateFrom, entries } = change;
  if (snapshot !== undefined && snapshot.metadata.index > snapshotIndex) return change;
  return {
    groupId,
    hardState,
    snapshot: undefined,
    entries: entries.filter((entry) => entry.index > snapshotIndex),
    ...(truncateFrom === undefined ? {} : { truncateFrom: Math.max(truncateFrom, snapshotIndex + 1) }),
  };
}

function decoded(directory: string, position: number, data: Uint8Array): JournalRecord {
  try {
    return decodeJournalRecord(data);
  } catch (error) {
    throw logDamaged(`${directory} (record ${position})`, 0, errorMessage(error), error);
  }
}
