// The disk of a simulated node: directories of files, time that each call takes, and what goes wrong with them. The
// append log and the segments stand on the same disk, each through its own narrow interface (sim-files.ts).

import { Inode, type PowerLoss } from './inode.js';
import type { Prng } from './prng.js';
import type { Owner, Scheduler } from './scheduler.js';
import type { Trace } from './trace.js';

/** A change to the names of a directory that is not on the platter yet. */
type NameChange = (names: Map<string, Inode>) => void;

/** The names of one directory. */
export class Directory {
  readonly names = new Map<string, Inode>();
  private readonly kept = new Map<string, Inode>();
  private readonly changes: NameChange[] = [];
  private done = 0;

  change(change: NameChange): void {
    change(this.names);
    this.changes.push(change);
  }

  /** Changes made so far. */
  get made(): number {
    return this.done + this.changes.length;
  }

  /** The first so many changes ever made are on the platter now. */
  sync(upTo: number): void {
    for (const change of this.changes.splice(0, Math.max(0, upTo - this.done))) {
      change(this.kept);
      this.done++;
    }
  }

  /** A journaling file system keeps the order of changes to names: some first part of them is there. */
  losePower(loss: PowerLoss, prng: Prng): void {
    const whole = this.changes.length;
    const count = loss === 'nothing' ? 0 : loss === 'everything' ? whole : prng.below(whole + 1);
    this.sync(this.done + count);
    this.changes.length = 0;
    this.names.clear();
    for (const [name, inode] of this.kept) this.names.set(name, inode);
    for (const inode of new Set(this.names.values())) inode.losePower(loss, prng);
  }
}

/** What goes wrong with a disk now. */
export interface DiskTrouble {
  /** Calls take this many times as long. */
  slowness: number;
  /** No call ends before this moment. */
  stalledUntil: number;
  /** Writes fail with this code. */
  failWrites: 'EIO' | 'ENOSPC' | undefined;
  /** The next sync fails. */
  failNextSync: boolean;
  /** The next write of one sector or more goes to another place of the same file. */
  misdirectNextWrite: boolean;
  /** Probability that a write takes only a part of what it is given. */
  shortWrites: number;
  /** Calls that have failed so far. */
  failures: number;
}

/** A write that has not returned. */
interface UnderWay {
  readonly owner: Owner;
  readonly inode: Inode;
  readonly bytes: Buffer;
  readonly offset: number;
  /** From when on the system has all of it, and only the platter has not. */
  readonly arrivesAt: number;
}

/** A disk with everything on it. */
export class SimDisk {
  readonly trouble: DiskTrouble = healthy();
  private directories = new Map<string, Directory>();
  private readonly underWay = new Set<UnderWay>();
  private misdirected: { readonly inode: Inode; readonly syncs: number } | undefined;

  constructor(
    readonly node: string,
    private readonly scheduler: Scheduler,
    readonly trace: Trace,
    readonly prng: Prng,
  ) {}

  directory(name: string): Directory {
    let directory = this.directories.get(name);
    if (directory === undefined) {
      directory = new Directory();
      this.directories.set(name, directory);
    }
    return directory;
  }

  /** Every file there is: directory, name, content. */
  *files(): Generator<readonly [string, string, Inode]> {
    for (const [path, directory] of this.directories) {
      for (const [name, inode] of directory.names) yield [path, name, inode];
    }
  }

  /** Lets a call take its time. `scale` is ms for an ordinary disk. Never returns once the owner has ended. */
  take(owner: Owner, what: string, scale: number): Promise<void> {
    return this.scheduler.sleep(owner, this.delay(scale), what);
  }

  /**
   * Lets a write take its time, and then has it happen; one that is under way when the process ends may get there in
   * part.
   * @param finish Does it. What it throws is what the write fails with.
   */
  write<T>(
    owner: Owner,
    inode: Inode,
    bytes: Buffer,
    offset: number,
    scale: number,
    finish: () => T,
  ): Promise<T> {
    const write = { owner, inode, bytes, offset, arrivesAt: Infinity };
    this.underWay.add(write);
    return new Promise((resolve, reject) => {
      this.scheduler.schedule(owner, this.delay(scale), 'write', () => {
        this.underWay.delete(write);
        settle(finish, resolve, reject);
      });
    });
  }

  /**
   * As {@link write}, for a call that returns when the bytes are on the platter: a write and a sync in one event. A
   * process that ends between the two leaves all of it with the system, and nothing on the platter.
   */
  writeDurably<T>(
    owner: Owner,
    inode: Inode,
    bytes: Buffer,
    offset: number,
    scale: number,
    syncScale: number,
    finish: () => T,
  ): Promise<T> {
    const arrivesAt = this.scheduler.now + this.delay(scale);
    const write = { owner, inode, bytes, offset, arrivesAt };
    this.underWay.add(write);
    return new Promise((resolve, reject) => {
      const end = (): void => {
        // The disk has stopped since: what was to be synced waits with all the rest.
        const stalled = this.trouble.stalledUntil - this.scheduler.now;
        if (stalled > 0) {
          this.scheduler.schedule(owner, stalled, 'durable write', end);
          return;
        }
        this.underWay.delete(write);
        settle(finish, resolve, reject);
      };
      const delay = arrivesAt - this.scheduler.now + this.delay(syncScale);
      this.scheduler.schedule(owner, delay, 'durable write', end);
    });
  }

  private delay(scale: number): number {
    const { slowness, stalledUntil } = this.trouble;
    const delay = scale * slowness * this.prng.between(0.5, 1.5);
    return delay + Math.max(0, stalledUntil - this.scheduler.now);
  }

  /** A process ended in the middle of its calls. */
  cutShort(owner: Owner): void {
    for (const write of this.underWay) {
      if (write.owner !== owner) continue;
      this.underWay.delete(write);
      const arrived = this.scheduler.now >= write.arrivesAt;
      const part = arrived ? write.bytes.length : this.partOf(write.bytes);
      if (part > 0) write.inode.write(write.bytes.subarray(0, part), write.offset);
    }
  }

  private partOf(bytes: Buffer): number {
    return this.prng.chance(0.5) ? this.prng.below(bytes.length + 1) : 0;
  }

  /** A call fails because of what is wrong with the disk. */
  failure(code: string, what: string): Error {
    this.trouble.failures++;
    return diskError(code, what);
  }

  /** A write went to the wrong place. */
  misdirect(inode: Inode): void {
    this.misdirected = { inode, syncs: inode.syncs };
  }

  /** Whether so little was written since a misdirected write that its absence cannot be noticed. */
  misdirectedLately(): boolean {
    return this.misdirected !== undefined && this.misdirected.inode.syncs < this.misdirected.syncs + 3;
  }

  /** The machine lost its power. */
  losePower(loss: PowerLoss): void {
    for (const directory of this.directories.values()) directory.losePower(loss, this.prng);
  }

  /** Another disk takes this one's place: it is empty. */
  wipe(): void {
    this.directories = new Map();
    // What the old disk did wrong went with it. A file that is never synced again would count as wrong for ever, and
    // each crash of the node would cost it its new disk.
    this.misdirected = undefined;
    this.trouble.misdirectNextWrite = false;
  }

  /** Nothing goes wrong any more; what was damaged stays damaged. */
  mend(): void {
    Object.assign(this.trouble, {
      ...healthy(),
      failures: this.trouble.failures,
      shortWrites: this.trouble.shortWrites,
    });
  }
}

function healthy(): DiskTrouble {
  return {
    slowness: 1,
    stalledUntil: 0,
    failWrites: undefined,
    failNextSync: false,
    misdirectNextWrite: false,
    shortWrites: 0,
    failures: 0,
  };
}

function settle<T>(finish: () => T, resolve: (value: T) => void, reject: (thrown: unknown) => void): void {
  try {
    resolve(finish());
  } catch (thrown) {
    reject(thrown);
  }
}

/** What a call of a file system fails with. */
export function diskError(code: string, what: string): Error {
  return Object.assign(new Error(`${code}: ${what}`), { code });
}
