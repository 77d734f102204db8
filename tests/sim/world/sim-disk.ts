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

/** A call that has not returned. */
interface UnderWay {
  readonly owner: Owner;
  /** Does what the call has come to, when the process ends in its midst. */
  readonly cut: () => void;
}

/** One of the things that a call does one after another. */
export interface Step {
  /** Ms for an ordinary disk. */
  readonly scale: number;
  /** @throws what the call fails with. */
  readonly run: () => void;
  /** What there is of it when it was begun and did not end; nothing, when it is left out. */
  readonly cut?: () => void;
}

/** Share of the calls on names, and of reads, that take no time. */
const FROM_MEMORY = 0.75;
/** Share of the writes that the system has taken before anything else can happen. */
const TAKEN_AT_ONCE = 0.5;
const DONE = Promise.resolve();

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
   * As {@link take}, for a call that the system mostly answers from memory, in no time; now and then it takes some, so
   * that all else can happen meanwhile.
   */
  touch(owner: Owner, what: string, scale: number): Promise<void> {
    const atOnce = owner.alive && this.prng.chance(FROM_MEMORY) && !this.stalled;
    return atOnce ? DONE : this.take(owner, what, scale);
  }

  private get stalled(): boolean {
    return this.trouble.stalledUntil > this.scheduler.now;
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
    if (owner.alive && this.prng.chance(TAKEN_AT_ONCE) && !this.stalled) return now(finish);
    return this.call(owner, 'write', this.delay(scale), finish, () => this.cutWrite(inode, bytes, offset));
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
    const writing = this.delay(scale);
    const arrivesAt = this.scheduler.now + writing;
    return this.call(owner, 'durable write', writing + this.time(syncScale), finish, () => {
      if (this.scheduler.now >= arrivesAt) inode.write(bytes, offset);
      else this.cutWrite(inode, bytes, offset);
    });
  }

  /** A call of several steps in one event. A process that ends in its midst has done the first of them. */
  inSteps(owner: Owner, what: string, steps: readonly Step[]): Promise<void> {
    const started = this.scheduler.now;
    let delay = Math.max(0, this.trouble.stalledUntil - started);
    const ends = steps.map(({ scale }) => (delay += this.time(scale)));
    const finish = (): void => {
      const { failWrites } = this.trouble;
      const broken = failWrites === undefined ? Infinity : this.prng.below(steps.length);
      for (const [at, step] of steps.entries()) {
        if (at === broken) {
          step.cut?.();
          throw this.failure(failWrites as string, what);
        }
        step.run();
      }
    };
    return this.call(owner, what, delay, finish, () => {
      for (const [at, step] of steps.entries()) {
        if (this.scheduler.now < started + (ends[at] as number)) return step.cut?.();
        step.run();
      }
    });
  }

  /** What is left of a write that did not end. */
  cutWrite(inode: Inode, bytes: Buffer, offset: number): void {
    const part = this.prng.chance(0.5) ? this.prng.below(bytes.length + 1) : 0;
    if (part > 0) inode.write(bytes.subarray(0, part), offset);
  }

  private call<T>(owner: Owner, what: string, delay: number, finish: () => T, cut: () => void): Promise<T> {
    const call = { owner, cut };
    this.underWay.add(call);
    return new Promise((resolve, reject) => {
      const end = (): void => {
        // The disk has stopped since: what it was to do waits with all the rest.
        const stalled = this.trouble.stalledUntil - this.scheduler.now;
        if (stalled > 0) {
          this.scheduler.schedule(owner, stalled, what, end);
          return;
        }
        this.underWay.delete(call);
        try {
          resolve(finish());
        } catch (thrown) {
          reject(thrown);
        }
      };
      this.scheduler.schedule(owner, delay, what, end);
    });
  }

  /** How long a call takes from now. */
  private delay(scale: number): number {
    return this.time(scale) + Math.max(0, this.trouble.stalledUntil - this.scheduler.now);
  }

  private time(scale: number): number {
    return scale * this.trouble.slowness * this.prng.between(0.5, 1.5);
  }

  /** A process ended in the middle of its calls. */
  cutShort(owner: Owner): void {
    for (const call of this.underWay) {
      if (call.owner !== owner) continue;
      this.underWay.delete(call);
      try {
        call.cut();
      } catch {
        // The call has failed, and nobody is left to hear of it.
      }
    }
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

/** What a call comes to that takes no time. */
async function now<T>(finish: () => T): Promise<T> {
  return finish();
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

/** What a call of a file system fails with. */
export function diskError(code: string, what: string): Error {
  return Object.assign(new Error(`${code}: ${what}`), { code });
}
