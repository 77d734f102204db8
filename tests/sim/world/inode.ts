// One file of a simulated disk: what a reader sees, what is on the platter, and the sectors in which they may differ.

import type { Prng } from './prng.js';

/** The unit that a disk writes whole or not at all. */
export const SECTOR = 512;

const EMPTY = Buffer.alloc(0);
/** A file that grows has room for at least so much. */
const LEAST_GROWTH = 4_096;

/** What survives of what was not synced, when the power goes. */
export type PowerLoss = 'nothing' | 'everything' | 'any';

/** A sync that was issued: what it covers. */
export interface SyncIssue {
  readonly length: number;
  /** The sectors, and the number of the write that made each what it was. */
  readonly sectors: readonly number[];
  readonly versions: readonly number[];
  /** What they held, one after another. */
  readonly bytes: Buffer;
}

/** A file's content. */
export class Inode {
  /** Page cache. */
  private seen: Buffer = EMPTY;
  private seenLength = 0;
  /** Platter. */
  private kept: Buffer = EMPTY;
  private keptLength = 0;
  /** Sectors that the disk still means to write, with the number of the write that made them so. */
  private readonly dirty = new Map<number, number>();
  private writes = 0;
  /** Syncs that have succeeded. */
  syncs = 0;
  /** The number of the sync that brought a sector to the platter. */
  private readonly syncedBy = new Map<number, number>();

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
    const sectors = [...this.dirty.keys()];
    const bytes = Buffer.allocUnsafe(sectors.length * SECTOR);
    sectors.forEach((sector, at) => {
      this.seen.copy(bytes, at * SECTOR, sector * SECTOR, (sector + 1) * SECTOR);
    });
    return { length: this.seenLength, sectors, versions: [...this.dirty.values()], bytes };
  }

  /** The sync has succeeded. */
  synced({ length, sectors, versions, bytes }: SyncIssue): void {
    this.keepLength(length);
    sectors.forEach((sector, at) => {
      this.syncedBy.set(sector, this.syncs);
      this.kept = grown(this.kept, (sector + 1) * SECTOR);
      bytes.copy(this.kept, sector * SECTOR, at * SECTOR, (at + 1) * SECTOR);
      if (this.dirty.get(sector) === versions[at]) this.dirty.delete(sector);
    });
  }

  /** A sync has succeeded that was issued just now. */
  syncedNow(): void {
    this.keepLength(this.seenLength);
    for (const sector of this.dirty.keys()) this.keep(sector);
    this.dirty.clear();
  }

  /** A sync has failed that was issued just now. */
  syncFailedNow(): void {
    this.dirty.clear();
  }

  /** A write has returned that took what it wrote to the platter: nothing else that waits is there with it. */
  syncedRange(from: number, to: number): void {
    this.keepLength(this.seenLength);
    for (let sector = Math.floor(from / SECTOR); sector * SECTOR < to; sector++) {
      this.keep(sector);
      this.dirty.delete(sector);
    }
  }

  /** A write has failed on its way to the platter; the system says no more of it. */
  rangeFailed(from: number, to: number): void {
    for (let sector = Math.floor(from / SECTOR); sector * SECTOR < to; sector++) this.dirty.delete(sector);
  }

  /** The sync has failed: the system forgets what it did not write, and will not say so again. */
  syncFailed({ sectors, versions }: SyncIssue): void {
    sectors.forEach((sector, at) => {
      if (this.dirty.get(sector) === versions[at]) this.dirty.delete(sector);
    });
  }

  /** The power went, and came back. */
  losePower(loss: PowerLoss, prng: Prng): void {
    const keeps = (): boolean => loss === 'everything' || (loss === 'any' && prng.chance(0.5));
    const length = keeps() ? this.seenLength : this.keptLength;
    const after = grown(Buffer.from(this.kept.subarray(0, Math.min(this.keptLength, length))), length);
    for (const sector of this.dirty.keys()) {
      const from = sector * SECTOR;
      if (from >= length || !keeps()) continue;
      after.set(this.seen.subarray(from, Math.min(from + SECTOR, length)), from);
    }
    this.seen = after;
    this.seenLength = length;
    this.kept = Buffer.from(after);
    this.keptLength = length;
    this.dirty.clear();
  }

  /** Sectors that were on the platter before the last two syncs, so that something later tells that they were. */
  settled(): number[] {
    const old = this.syncs - 2;
    return [...this.syncedBy]
      .filter(([sector, sync]) => sync <= old && sector * SECTOR < this.keptLength && !this.dirty.has(sector))
      .map(([sector]) => sector);
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

  /** Brings a sector to the platter as it is seen. */
  private keep(sector: number): void {
    this.syncedBy.set(sector, this.syncs);
    this.seen.copy(this.kept, sector * SECTOR, sector * SECTOR, (sector + 1) * SECTOR);
  }

  private markDirty(from: number, to: number): void {
    this.writes++;
    for (let sector = Math.floor(from / SECTOR); sector * SECTOR < to; sector++) {
      this.dirty.set(sector, this.writes);
    }
  }
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
