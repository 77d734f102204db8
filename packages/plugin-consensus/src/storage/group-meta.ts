// A group's checkpoint, the file `group-{groupId}.meta`: everything about the group that the journal before a position
// says, in one small file that is replaced whole. Recovery starts from it and replays the journal from there.
//
// One line of text `DWMETA 1 <CRC> <length>`, then JSON, so that an operator can read it.

import { crc32 } from '@datawarehouse/sdk';
import type { ConfState, HardState, SnapshotMetadata } from '../raft/types.js';
import { readConfState } from './conf-state-codec.js';
import { formatUnknown, logDamaged } from './errors.js';
import type { SegmentManifest } from './segment.js';
import { type StorageFiles, readWholeFile, replaceFile } from './storage-files.js';

/** What a checkpoint holds. */
export interface GroupMeta {
  readonly groupId: string;
  /** The members that the group was made with. */
  readonly bootstrap: ConfState;
  readonly hardState: HardState;
  /** The newest snapshot, whose file is there. */
  readonly snapshot: SnapshotMetadata | undefined;
  /** The entry just before the first one kept. */
  readonly compacted: { readonly index: number; readonly term: number };
  readonly segments: readonly SegmentManifest[];
  /** Journal records below this are contained here. */
  readonly journalPosition: number;
}

/** What stands in a checkpoint's place when its group was destroyed: that journal records of it mean nothing. */
export interface GroupTombstone {
  readonly groupId: string;
  /** All journal records of the group are below this. */
  readonly journalPosition: number;
}

/** What a checkpoint's file says. */
export type Checkpoint =
  | { readonly kind: 'group'; readonly meta: GroupMeta }
  | { readonly kind: 'destroyed'; readonly tombstone: GroupTombstone };

const VERSION = 1;

/** The name of a group's checkpoint. */
export function metaName(groupId: string): string {
  return `group-${groupId}.meta`;
}

/** The group of a checkpoint's name; undefined for other names. */
export function parseMetaName(name: string): string | undefined {
  return /^group-(.+)\.meta$/.exec(name)?.[1];
}

/** Stores a checkpoint: after a crash it is the old one or this one, durably this one on return. */
export function saveMeta(files: StorageFiles, meta: GroupMeta): Promise<void> {
  const { hardState, ...rest } = meta;
  return saveBody(files, meta.groupId, {
    ...rest,
    hardState: { ...hardState, vote: hardState.vote ?? null },
  });
}

/** Puts a tombstone in the place of a group's checkpoint, durably: from then on the group is gone. */
export function saveTombstone(files: StorageFiles, tombstone: GroupTombstone): Promise<void> {
  const { groupId, journalPosition } = tombstone;
  return saveBody(files, groupId, { groupId, journalPosition, destroyed: true });
}

function saveBody(files: StorageFiles, groupId: string, content: object): Promise<void> {
  const body = Buffer.from(JSON.stringify(content));
  const head = Buffer.from(`DWMETA ${VERSION} ${crc32(body).toString(16).padStart(8, '0')} ${body.length}\n`);
  return replaceFile(files, metaName(groupId), Buffer.concat([head, body, Buffer.from('\n')]));
}

/** Reads a checkpoint. @throws DwError `raft-log-damaged`, `raft-storage-format-unknown`. */
export async function loadCheckpoint(files: StorageFiles, groupId: string): Promise<Checkpoint> {
  const path = `${files.directory}/${metaName(groupId)}`;
  const bytes = await readWholeFile(files, metaName(groupId));
  const lineEnd = bytes.indexOf(0x0a);
  const head = /^DWMETA (\d+) ([0-9a-f]{8}) (\d+)$/.exec(bytes.toString('latin1', 0, Math.max(0, lineEnd)));
  if (head === null) throw logDamaged(path, 0, 'this is no group checkpoint');
  const [, version, crc, length] = head;
  const body = bytes.subarray(lineEnd + 1, lineEnd + 1 + Number(length));
  const sound =
    bytes.length === lineEnd + 2 + Number(length) && crc32(body) === Number.parseInt(crc as string, 16);
  // What has another version and is sound by the rules of this one is this one with a damaged number.
  if (Number(version) !== VERSION && !sound) throw formatUnknown(path, Number(version));
  if (!sound || Number(version) !== VERSION) {
    throw logDamaged(path, lineEnd + 1, 'the checksum of the group checkpoint fails');
  }
  const found = checkpointOf(JSON.parse(body.toString('utf8')) as unknown, groupId);
  if (found === undefined) {
    throw logDamaged(path, lineEnd + 1, `the checkpoint does not describe group ${groupId}`);
  }
  return found;
}

function checkpointOf(value: unknown, groupId: string): Checkpoint | undefined {
  if (!isRecord(value) || value['groupId'] !== groupId) return undefined;
  if (value['destroyed'] === true) {
    const { journalPosition } = value;
    return isCount(journalPosition)
      ? { kind: 'destroyed', tombstone: { groupId, journalPosition } }
      : undefined;
  }
  const meta = fromJson(value);
  return meta === undefined ? undefined : { kind: 'group', meta };
}

function fromJson(value: unknown): GroupMeta | undefined {
  if (!isRecord(value) || !isRecord(value['hardState']) || !isRecord(value['compacted'])) return undefined;
  const { hardState, compacted, segments, journalPosition, groupId } = value;
  const bootstrap = readConfState(value['bootstrap']);
  const snapshot = value['snapshot'] === undefined ? undefined : readSnapshotMetadata(value['snapshot']);
  const vote = hardState['vote'];
  const sound =
    typeof groupId === 'string' &&
    isCount(journalPosition) &&
    isCount(hardState['term']) &&
    isCount(hardState['commit']) &&
    (vote === null || typeof vote === 'string') &&
    isCount(compacted['index']) &&
    isCount(compacted['term']) &&
    (snapshot !== undefined || value['snapshot'] === undefined) &&
    Array.isArray(segments) &&
    segments.every(isManifest);
  if (!sound || bootstrap === undefined) return undefined;
  return {
    groupId,
    bootstrap,
    journalPosition,
    hardState: {
      term: hardState['term'] as number,
      commit: hardState['commit'] as number,
      vote: vote ?? undefined,
    },
    compacted: { index: compacted['index'] as number, term: compacted['term'] as number },
    snapshot,
    // Checkpoints of old say nothing of footers, because there were none.
    segments: segments.map((one) => ({ ...one, footerBytes: one.footerBytes ?? 0 })),
  };
}

/** Reads the metadata of a snapshot; undefined when it is none. */
export function readSnapshotMetadata(value: unknown): SnapshotMetadata | undefined {
  if (!isRecord(value)) return undefined;
  const { index, term } = value;
  const conf = readConfState(value['conf']);
  return conf !== undefined && isCount(index) && isCount(term) ? { index, term, conf } : undefined;
}

type StoredManifest = Omit<SegmentManifest, 'footerBytes'> & { readonly footerBytes?: number };

function isManifest(value: unknown): value is StoredManifest {
  return (
    isRecord(value) &&
    isCount(value['start']) &&
    isCount(value['last']) &&
    isCount(value['bytes']) &&
    (value['footerBytes'] === undefined || isCount(value['footerBytes'])) &&
    typeof value['sealed'] === 'boolean'
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
