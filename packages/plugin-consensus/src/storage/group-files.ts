// Which files belong to a group, and how all of them go: removed, or moved aside for diagnosis.

import { damageName } from './group-damage.js';
import { metaName } from './group-meta.js';
import { parseSegmentName } from './segment-format.js';
import { parsePartName, parseSnapshotName } from './snapshot-format.js';
import type { StorageFiles } from './storage-files.js';

/** Digits of the number that names of files aside begin with: those of one time have the same. */
const DIGITS = 6;

/** The group of a segment's file, or a snapshot's, whole or in part; undefined for other names. */
export function groupOfDataFile(name: string): string | undefined {
  return parseSegmentName(name)?.groupId ?? parseSnapshotName(name) ?? parsePartName(name);
}

/** Removes a group's segments, snapshots and mark of damage, durably. What stands for its checkpoint stays. */
export async function removeGroupData(files: StorageFiles, groupId: string): Promise<void> {
  for (const name of await files.list()) {
    if (groupOfDataFile(name) === groupId) await files.remove(name);
  }
  // Last, and after the others are gone for good: while it is there the group is not taken for whole.
  await files.syncDirectory();
  await removeDamageMark(files, groupId);
}

/** Removes a group's mark of damage, durably. */
export async function removeDamageMark(files: StorageFiles, groupId: string): Promise<void> {
  await files.remove(damageName(groupId));
  await files.syncDirectory();
}

/**
 * Moves all files of a group aside, but for its mark of damage, durably.
 * @param keep How many times of moving are kept; those before go.
 */
export async function moveGroupAside(files: StorageFiles, groupId: string, keep: number): Promise<void> {
  const times = await timesAside(files);
  for (const time of times.slice(0, Math.max(0, times.length - keep + 1))) await removeTime(files, time);
  const next = String((times.at(-1) ?? 0) + 1).padStart(DIGITS, '0');
  for (const name of await files.list()) {
    if (groupOfDataFile(name) !== groupId && name !== metaName(groupId)) continue;
    await files.moveAside(name, `${next}-${name}`);
  }
  await files.syncDirectory();
}

async function timesAside(files: StorageFiles): Promise<number[]> {
  const times = new Set<number>();
  for (const name of await files.listAside()) {
    const time = timeOf(name);
    if (time !== undefined) times.add(time);
  }
  return [...times].sort((a, b) => a - b);
}

async function removeTime(files: StorageFiles, time: number): Promise<void> {
  for (const name of await files.listAside()) if (timeOf(name) === time) await files.removeAside(name);
}

function timeOf(name: string): number | undefined {
  const digits = /^(\d+)-/.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}
