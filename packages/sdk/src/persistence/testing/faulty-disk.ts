// A disk in memory that behaves as badly as a real one may: what was not synced is lost, torn or kept sector by
// sector when it crashes, writes come back short, and calls fail. Everything follows from one seed. For tests only.

import { logLocked } from '../errors.js';
import type { LogFile, LogFiles, LogLock } from '../log/log-files.js';

const SECTOR = 512;

/** A source of numbers that is the same for the same seed. */
export class SeededRandom {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** From 0 up to, but not, `bound`. */
  below(bound: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let value = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) % bound;
  }

  /** True once in `n` times. */
  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }
}

interface Inode {
  /** What a reader sees. */
  seen: Buffer;
  /** What is on disk. */
  kept: Buffer;
  /** Sectors where the two may differ and the disk still means to write. */
  readonly dirty: Set<number>;
}

/** What is to go wrong. Counts are of the disk's calls, from 1. */
export interface DiskFaults {
  /** At this call the machine dies: it and all later calls fail. */
  readonly crashAt?: number;
  /** Syncs from this one on fail, and what they should have written is forgotten as if it had been. */
  readonly failSyncAt?: number;
  /** Writes from this one on fail. */
  readonly failWriteAt?: number;
  /** One write in so many takes only a part. 0: never. */
  readonly shortWriteOneIn?: number;
}

/** A directory of files on a {@link FaultyDisk}. */
export class FaultyDisk implements LogFiles {
  readonly directory = 'faulty-disk';
  /** Calls so far that change the disk. */
  calls = 0;
  /** Syncs of files that have returned. */
  synced = 0;
  #syncs = 0;
  #writes = 0;
  #crashed = false;
  #locked = false;
  #names = new Map<string, Inode>();
  /** The directory on disk, and the changes to it that are not there yet, in order. */
  #keptNames = new Map<string, Inode>();
  readonly #nameChanges: ((names: Map<string, Inode>) => void)[] = [];

  constructor(
    private readonly random: SeededRandom,
    private readonly faults: DiskFaults = {},
  ) {}

  get crashed(): boolean {
    return this.#crashed;
  }

  /** The disk after the machine died and came back: of what was not synced, any part may be there. */
  afterCrash(faults: DiskFaults = {}): FaultyDisk {
    const survivor = new FaultyDisk(this.random, faults);
    const names = new Map(this.#keptNames);
    // A journaling file system keeps the order of changes to names: some first part of them is there.
    const applied = this.random.below(this.#nameChanges.length + 1);
    for (const change of this.#nameChanges.slice(0, applied)) change(names);
    const tornOneIn = [1, 2, 10][this.random.below(3)] ?? 1;
    for (const [name, inode] of names) {
      const content = this.#surviving(inode, tornOneIn);
      const copy: Inode = { seen: Buffer.from(content), kept: content, dirty: new Set() };
      survivor.#names.set(name, copy);
      survivor.#keptNames.set(name, copy);
    }
    return survivor;
  }

  /** The same disk after only the process died: all that was written is there, on disk or not. */
  afterKill(faults: DiskFaults = {}): FaultyDisk {
    const survivor = new FaultyDisk(this.random, faults);
    survivor.#names = this.#names;
    survivor.#keptNames = this.#keptNames;
    survivor.#nameChanges.push(...this.#nameChanges);
    return survivor;
  }

  /** A copy that shares nothing, with everything on disk, to be damaged by hand. */
  image(): Map<string, Buffer> {
    return new Map([...this.#names].map(([name, inode]) => [name, Buffer.from(inode.seen)]));
  }

  /** A disk that holds such a copy. */
  static from(image: ReadonlyMap<string, Buffer>): FaultyDisk {
    const disk = new FaultyDisk(new SeededRandom(1));
    for (const [name, content] of image) {
      const inode: Inode = { seen: Buffer.from(content), kept: Buffer.from(content), dirty: new Set() };
      disk.#names.set(name, inode);
      disk.#keptNames.set(name, inode);
    }
    return disk;
  }

  async prepare(): Promise<void> {
    this.#call();
  }

  async lock(): Promise<LogLock> {
    if (this.#locked) throw logLocked(this.directory, 'this test');
    this.#locked = true;
    return {
      release: async () => {
        this.#locked = false;
      },
    };
  }

  async list(): Promise<readonly string[]> {
    return [...this.#names.keys()];
  }

  async open(name: string): Promise<LogFile> {
    const inode = this.#names.get(name);
    if (inode === undefined) throw Object.assign(new Error(`ENOENT: ${name}`), { code: 'ENOENT' });
    return this.#file(inode);
  }

  async create(name: string): Promise<LogFile> {
    this.#call();
    const inode: Inode = { seen: Buffer.alloc(0), kept: Buffer.alloc(0), dirty: new Set() };
    this.#changeNames((names) => names.set(name, inode));
    return this.#file(inode);
  }

  async rename(from: string, to: string): Promise<void> {
    this.#call();
    const inode = this.#names.get(from);
    if (inode === undefined) throw Object.assign(new Error(`ENOENT: ${from}`), { code: 'ENOENT' });
    this.#changeNames((names) => {
      names.delete(from);
      names.set(to, inode);
    });
  }

  async remove(name: string): Promise<void> {
    this.#call();
    this.#changeNames((names) => names.delete(name));
  }

  async syncDirectory(): Promise<void> {
    this.#call();
    this.#keptNames = new Map(this.#names);
    this.#nameChanges.length = 0;
  }

  #changeNames(change: (names: Map<string, Inode>) => unknown): void {
    change(this.#names);
    this.#nameChanges.push(change);
  }

  #call(): void {
    this.calls += 1;
    if (this.calls === this.faults.crashAt) this.#crashed = true;
    if (this.#crashed) throw new Error('the machine is down');
  }

  #file(inode: Inode): LogFile {
    return {
      write: (pieces, offset) => this.#write(inode, Buffer.concat(pieces), offset),
      writeDurably: async (pieces, offset) => {
        const count = await this.#write(inode, Buffer.concat(pieces), offset);
        const sectors = new Set<number>();
        for (let at = Math.floor(offset / SECTOR); at * SECTOR < offset + count; at++) sectors.add(at);
        await this.#datasync(inode, sectors);
        return count;
      },
      read: async (target, offset) =>
        offset < inode.seen.byteLength ? inode.seen.copy(target, 0, offset, offset + target.byteLength) : 0,
      datasync: () => this.#datasync(inode),
      size: async () => inode.seen.byteLength,
      close: async () => undefined,
    };
  }

  async #write(inode: Inode, data: Buffer, offset: number): Promise<number> {
    this.#writes += 1;
    if (this.#writes >= (this.faults.failWriteAt ?? Infinity)) throw new Error('EIO: write');
    const shortOneIn = this.faults.shortWriteOneIn ?? 0;
    const isShort = shortOneIn > 0 && data.byteLength > 1 && this.random.oneIn(shortOneIn);
    const count = isShort ? 1 + this.random.below(data.byteLength - 1) : data.byteLength;
    if (offset + count > inode.seen.byteLength) {
      inode.seen = Buffer.concat([inode.seen, Buffer.alloc(offset + count - inode.seen.byteLength)]);
    }
    data.copy(inode.seen, offset, 0, count);
    for (let at = Math.floor(offset / SECTOR); at * SECTOR < offset + count; at++) inode.dirty.add(at);
    // Counted last: a machine that dies in a write may have got any of it to the disk.
    this.#call();
    return count;
  }

  /** @param only The sectors that are synced; all that are dirty when it is left out. */
  async #datasync(inode: Inode, only?: ReadonlySet<number>): Promise<void> {
    this.#call();
    this.#syncs += 1;
    if (this.#syncs >= (this.faults.failSyncAt ?? Infinity)) {
      inode.dirty.clear();
      throw new Error('EIO: fdatasync');
    }
    const before = new Set([...inode.dirty].filter((sector) => only?.has(sector) ?? true));
    const content = Buffer.from(inode.seen);
    // The disk needs a while, in which more may be written that this sync does not cover.
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
    this.#call();
    inode.kept = resized(inode.kept, Math.max(content.byteLength, inode.kept.byteLength));
    for (const sector of before) {
      content.copy(inode.kept, sector * SECTOR, sector * SECTOR, (sector + 1) * SECTOR);
      if (inode.seen.subarray(sector * SECTOR, (sector + 1) * SECTOR).equals(sectorOf(content, sector))) {
        inode.dirty.delete(sector);
      }
    }
    this.synced += 1;
  }

  #surviving(inode: Inode, tornOneIn: number): Buffer {
    const grown = inode.seen.byteLength > inode.kept.byteLength && this.random.oneIn(2);
    const content = resized(inode.kept, grown ? inode.seen.byteLength : inode.kept.byteLength);
    for (const sector of inode.dirty) {
      if (sector * SECTOR >= content.byteLength || this.random.oneIn(tornOneIn)) continue;
      const end = Math.min((sector + 1) * SECTOR, content.byteLength);
      inode.seen.copy(content, sector * SECTOR, sector * SECTOR, end);
    }
    return content;
  }
}

function sectorOf(content: Buffer, sector: number): Buffer {
  return content.subarray(sector * SECTOR, (sector + 1) * SECTOR);
}

/** A copy with this length; what is new is zero. */
function resized(content: Buffer, length: number): Buffer {
  const copy = Buffer.alloc(length);
  content.copy(copy, 0, 0, Math.min(length, content.byteLength));
  return copy;
}
