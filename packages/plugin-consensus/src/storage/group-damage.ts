// The mark `group-{groupId}.damaged`, which says that a group's files are not to be believed. Damage is remembered: the
// journal soon drops what such a group would need, so a restart must not take the group for whole because the disk
// happens to read well this time. The mark goes when the group is replaced or destroyed.

import { isDwError } from '@datawarehouse/sdk';
import { logDamaged } from './errors.js';
import { type StorageFiles, readWholeFile, replaceFile } from './storage-files.js';
import type { GroupDamage } from './types.js';

const MAX_REASON = 500;

/** The name of a group's mark. */
export function damageName(groupId: string): string {
  return `group-${groupId}.damaged`;
}

/** The group of a mark's name; undefined for other names. */
export function parseDamageName(name: string): string | undefined {
  return /^group-(.+)\.damaged$/.exec(name)?.[1];
}

/** Marks a group, durably. @throws what the disk throws. */
export function saveDamage(files: StorageFiles, damage: GroupDamage): Promise<void> {
  return replaceFile(files, damageName(damage.groupId), Buffer.from(`${JSON.stringify(damage)}\n`));
}

/** What a mark says. That it is there is what counts; one that cannot be read says so. */
export async function loadDamage(files: StorageFiles, groupId: string): Promise<GroupDamage> {
  const name = damageName(groupId);
  const unread: GroupDamage = {
    groupId,
    file: `${files.directory}/${name}`,
    offset: 0,
    reason: 'the mark of damage cannot be read',
  };
  try {
    const text = (await readWholeFile(files, name)).toString('utf8');
    return isDamage(JSON.parse(text) as unknown, groupId) ?? unread;
  } catch (error) {
    // A disk that gives nothing back of it, or something else: that it is there is enough.
    if (error instanceof SyntaxError || unreadable(name, error) !== undefined) return unread;
    throw error;
  }
}

/** The damage that an error tells of; undefined when it is about something else. */
export function damageOf(groupId: string, error: unknown): GroupDamage | undefined {
  if (!isDwError(error, 'raft-log-damaged')) return undefined;
  const { file, offset, why } = error.details ?? {};
  return { groupId, file: String(file), offset: Number(offset), reason: String(why) };
}

/**
 * Runs a step that reads a group's files. A file that is missing or that the disk cannot read is damage of that group
 * alone: a sector that went bad is no reason to stop the others.
 * @throws DwError `raft-log-damaged`, and what else the step throws.
 */
export async function readingGroup<T>(path: string, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    throw unreadable(path, error) ?? error;
  }
}

/** A failed read as damage; undefined when the error is something else. */
export function unreadable(path: string, error: unknown): Error | undefined {
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return logDamaged(path, 0, 'the file is missing', error);
  if (code === 'EIO')
    return logDamaged(path, 0, `the disk cannot read it (${syscall ?? 'read'}: EIO)`, error);
  return undefined;
}

function isDamage(value: unknown, groupId: string): GroupDamage | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { file, offset, reason } = value as Record<string, unknown>;
  if (typeof file !== 'string' || typeof offset !== 'number' || typeof reason !== 'string') return undefined;
  return { groupId, file, offset, reason: reason.slice(0, MAX_REASON) };
}
