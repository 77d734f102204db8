// One file of a simulated disk: what a reader sees, what is on the platter, and the sectors in which they may differ.

import type { Prng } from './prng.js';

/** The unit that a disk writes whole or not at all. */
export const SECTOR = 512;

const EMPTY = Buffer.alloc(0);
const NONE = new Uint32Array(0);
/** A file that grows has room for at least so much. */
const LEAST_GROWTH = 4_096;

/** What survives of what was not synced, when the power goes. */
export type PowerLoss = 'nothing' | 'everything' | 'any';

/** A sync that was issued: what it covers. */
export interface SyncIssue {
  readonly length: number;
  /** Sectors that stand together, in order. */
  readonly runs: readonly {
    readonly first: number;
    /** The number of the write that made each what it was. */
    readonly versions: Uint32Array;
    /** What they held. */
    readonly bytes: Buffer;
  }[];
}

/** A file's content. */
export class Inode {
  /** Page cache. */
  private seen: Buffer = EMPTY;
  private seenLength = 0;
  /** Platter. */
  private kept: Buffer = EMPTY;
  private keptLength = 0;
  /** For each sector that the disk still means to write the number of the write that made it so; 0 for all others. */
  private dirty: Uint32Array = NONE;
  /** No sector outside of these is dirty. */
  private dirtyFrom = Infinity;
  private dirtyTo = 0;
  private writes = 0;
  /** Syncs that have succeeded. */
  syncs = 0;
  /** The number of the sync that brought a sector to the platter; 0 for those that none did. */
  private syncedBy: Uint32Array = NONE;

  get length(): number {
    return this.seenLength;
  }

  /** Bytes on the platter. */
  get durableLength(): number {
    return this.keptLength;
  }

  write(bytes: Uint8Array, offset: number): void {
    this.seen = grown(this.seen, offset + bytes.length);
    this.seenLength = Math.max(this.seenLength, offset + bytes.length);
    this.seen.set(bytes, offset);
    this.markDirty(offset, offset + bytes.length);
  }

  truncate(length: number): void {
    if (length < this.seenLength) this.seen.fill(0, length, this.seenLength);
    else this.seen = grown(this.seen, length);
    this.markDirty(Math.min(length, this.seenLength), Math.max(length, this.seenLength));
    this.seenLength = length;
  }

  read(target: Uint8Array, offset: number): number {
    if (offset >= this.seenLength) return 0;
    const part = this.seen.subarray(offset, Math.min(offset + target.length, this.seenLength));
    target.set(part);
    return part.length;
  }

  /** What a sync that is issued now will have written when it returns. */
  issueSync(): SyncIssue {
    const { dirty, dirtyTo } = this;
    const runs: SyncIssue['runs'][number][] = [];
    for (let sector = this.dirtyFrom; sector < dirtyTo; sector++) {
      if (dirty[sector] === 0) continue;
      const first = sector;
      while (sector < dirtyTo && dirty[sector] !== 0) sector++;
      const bytes = Buffer.allocUnsafe((sector - first) * SECTOR);
      this.seen.copy(bytes, 0, first * SECTOR, sector * SECTOR);
      runs.push({ first, versions: dirty.slice(first, sector), bytes });
    }
    return { length: this.seenLength, runs };
  }

  /** The sync has succeeded. */
  synced(issue: SyncIssue): void {
    this.keepLength(issue.length);
    for (const { first, versions, bytes } of issue.runs) {
      const end = first + versions.length;
      this.kept = grown(this.kept, end * SECTOR);
      bytes.copy(this.kept, first * SECTOR);
      this.markSynced(first, end);
    }
    this.forgetDirty(issue);
  }

  /** A sync has succeeded that was issued just now. */
  syncedNow(): void {
    this.keepLength(this.seenLength);
    const { dirty, dirtyTo } = this;
    for (let sector = this.dirtyFrom; sector < dirtyTo; sector++) {
      if (dirty[sector] === 0) continue;
      const first = sector;
      while (sector < dirtyTo && dirty[sector] !== 0) sector++;
      this.keep(first, sector);
    }
    this.allClean();
  }

  /** A sync has failed that was issued just now. */
  syncFailedNow(): void {
    this.allClean();
  }

  /** A write has returned that took what it wrote to the platter: nothing else that waits is there with it. */
  syncedRange(from: number, to: number): void {
    this.keepLength(this.seenLength);
    if (to > from) this.keep(Math.floor(from / SECTOR), Math.ceil(to / SECTOR));
    this.rangeFailed(from, to);
  }

  /** A write has failed on its way to the platter; the system says no more of it. */
  rangeFailed(from: number, to: number): void {
    if (to <= from) return;
    const [first, end] = [Math.floor(from / SECTOR), Math.ceil(to / SECTOR)];
    this.dirty.fill(0, first, end);
    if (first <= this.dirtyFrom && end >= this.dirtyTo) this.allClean();
  }

  /** The sync has failed: the system forgets what it did not write, and will not say so again. */
  syncFailed(issue: SyncIssue): void {
    this.forgetDirty(issue);
  }

  /** The power went, and came back. */
  losePower(loss: PowerLoss, prng: Prng): void {
    const keeps = (): boolean => loss === 'everything' || (loss === 'any' && prng.chance(0.5));
    const length = keeps() ? this.seenLength : this.keptLength;
    const after = grown(Buffer.from(this.kept.subarray(0, Math.min(this.keptLength, length))), length);
    for (let sector = this.dirtyFrom; sector < this.dirtyTo; sector++) {
      const from = sector * SECTOR;
      if (this.dirty[sector] === 0 || from >= length || !keeps()) continue;
      after.set(this.seen.subarray(from, Math.min(from + SECTOR, length)), from);
    }
    this.seen = after;
    this.seenLength = length;
    this.kept = Buffer.from(after);
    this.keptLength = length;
    this.allClean();
  }

  /** Sectors that were on the platter before the last two syncs, so that something later tells that they were. */
  settled(): number[] {
    const old = this.syncs - 2;
    const sectors: number[] = [];
    this.syncedBy.forEach((sync, sector) => {
      const settled = sync > 0 && sync <= old && sector * SECTOR < this.keptLength;
      if (settled && (this.dirty[sector] ?? 0) === 0) sectors.push(sector);
    });
    return sectors;
  }

  /** Turns one bit of a sector over, on the platter and in memory. @returns the byte's offset. */
  flipBit(sector: number, prng: Prng): number {
    const offset = Math.min(sector * SECTOR + prng.below(SECTOR), this.keptLength - 1);
    const bit = 1 << prng.below(8);
    this.kept[offset] = (this.kept[offset] as number) ^ bit;
    this.seen[offset] = (this.seen[offset] as number) ^ bit;
    return offset;
  }

  /** A sync has brought the file's length to the platter. */
  private keepLength(length: number): void {
    this.kept = grown(this.kept, length);
    if (length < this.keptLength) this.kept.fill(0, length, this.keptLength);
    this.keptLength = length;
    this.syncs++;
  }

  /** Brings the sectors from `first` up to, but not, `end` to the platter as they are seen. */
  private keep(first: number, end: number): void {
    this.seen.copy(this.kept, first * SECTOR, first * SECTOR, end * SECTOR);
    this.markSynced(first, end);
  }

  private markSynced(first: number, end: number): void {
    this.syncedBy = longer(this.syncedBy, end);
    this.syncedBy.fill(this.syncs, first, end);
  }

  private markDirty(from: number, to: number): void {
    this.writes++;
    if (to <= from) return;
    const [first, end] = [Math.floor(from / SECTOR), Math.ceil(to / SECTOR)];
    this.dirty = longer(this.dirty, end);
    this.dirty.fill(this.writes, first, end);
    this.dirtyFrom = Math.min(this.dirtyFrom, first);
    this.dirtyTo = Math.max(this.dirtyTo, end);
  }

  /** What a sync was about is no longer waiting, but for what was written since. */
  private forgetDirty({ runs }: SyncIssue): void {
    const { dirty } = this;
    let left = false;
    for (const { first, versions } of runs) {
      versions.forEach((version, at) => {
        if (dirty[first + at] === version) dirty[first + at] = 0;
      });
    }
    for (let sector = this.dirtyFrom; sector < this.dirtyTo && !left; sector++) left = dirty[sector] !== 0;
    if (!left) this.allClean();
  }

  private allClean(): void {
    if (this.dirtyTo > 0) this.dirty.fill(0, this.dirtyFrom, this.dirtyTo);
    this.dirtyFrom = Infinity;
    this.dirtyTo = 0;
  }
}

/** The numbers, or a longer copy of them with zeros behind. */
function longer(numbers: Uint32Array, length: number): Uint32Array {
  if (length <= numbers.length) return numbers;
  const more = new Uint32Array(Math.max(length, 2 * numbers.length, 8));
  more.set(numbers);
  return more;
}

/** The buffer, or a longer copy of it with zeros behind. */
function grown(buffer: Buffer, length: number): Buffer {
  if (length <= buffer.length) return buffer;
  // One that is written once needs no more.
  const growth = buffer === EMPTY ? 0 : Math.max(2 * buffer.length, LEAST_GROWTH);
  const enough = Math.max(length, Math.min(growth, buffer.length + 1024 * 1024));
  // Whole sectors.
  const longer = Buffer.alloc(Math.ceil(enough / SECTOR) * SECTOR);
  buffer.copy(longer);
  return longer;
}
