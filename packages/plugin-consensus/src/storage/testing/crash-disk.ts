// A disk in memory that loses what was not synced: after a crash, of each file any sectors of what was written since
// its last sync may be there or not, and of the changes to names some first part. For tests only.

import type { StorageFile, StorageFiles } from '../storage-files.js';
import type { SeededRandom } from './seeded-random.js';

const SECTOR = 512;
const ASIDE = 'damaged/';

interface Inode {
  seen: Buffer;
  kept: Buffer;
}

type NameChange = (names: Map<string, Inode>) => void;

/** What all parts of one machine share: when it dies, everything that is under way fails. */
export class Machine {
  calls = 0;
  dead = false;

  /** @param crashAt At this call, from 1, the machine dies. Never, when it is left out. */
  constructor(private readonly crashAt = Infinity) {}

  /** One call that changes the disk; it has an effect only if this returns. */
  async call(): Promise<void> {
    // Real calls end in a later turn of the event loop.
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    this.calls++;
    if (this.calls >= this.crashAt) this.dead = true;
    if (this.dead) throw new Error('the machine is dead');
  }
}

/** A directory on a disk that can crash. */
export class CrashDisk implements StorageFiles {
  readonly directory = 'crash-disk';
  readonly #names = new Map<string, Inode>();
  readonly #keptNames = new Map<string, Inode>();
  readonly #nameChanges: NameChange[] = [];

  constructor(readonly machine: Machine) {}

  /** The disk of a machine that was started again. */
  afterCrash(random: SeededRandom, machine: Machine): CrashDisk {
    const names = new Map(this.#keptNames);
    for (const change of this.#nameChanges.slice(0, random.below(this.#nameChanges.length + 1)))
      change(names);
    const survivor = new CrashDisk(machine);
    for (const [name, inode] of names) {
      const content = tear(inode, random);
      const copy = { seen: content, kept: Buffer.from(content) };
      survivor.#names.set(name, copy);
      survivor.#keptNames.set(name, copy);
    }
    return survivor;
  }

  async prepare(): Promise<void> {
    await this.machine.call();
  }

  async list(): Promise<readonly string[]> {
    return [...this.#names.keys()].filter((name) => !name.startsWith(ASIDE));
  }

  async moveAside(name: string, as: string): Promise<void> {
    await this.rename(name, `${ASIDE}${as}`);
  }

  async listAside(): Promise<readonly string[]> {
    return [...this.#names.keys()]
      .filter((name) => name.startsWith(ASIDE))
      .map((name) => name.slice(ASIDE.length));
  }

  async removeAside(name: string): Promise<void> {
    await this.remove(`${ASIDE}${name}`);
  }

  async openForWriting(name: string): Promise<StorageFile> {
    return this.#open(name);
  }

  async openForReading(name: string): Promise<StorageFile> {
    return this.#open(name);
  }

  openForReadingSync(name: string): StorageFile {
    return this.#open(name);
  }

  async create(name: string): Promise<StorageFile> {
    await this.machine.call();
    const inode = { seen: Buffer.alloc(0), kept: Buffer.alloc(0) };
    this.#change((names) => names.set(name, inode));
    return new CrashFile(this.machine, inode);
  }

  async seal(): Promise<void> {
    await this.machine.call();
  }

  async rename(from: string, to: string): Promise<void> {
    await this.machine.call();
    const inode = this.#inode(from);
    this.#change((names) => {
      names.delete(from);
      names.set(to, inode);
    });
  }

  async remove(name: string): Promise<void> {
    await this.machine.call();
    this.#change((names) => names.delete(name));
  }

  async syncDirectory(): Promise<void> {
    await this.machine.call();
    for (const change of this.#nameChanges.splice(0)) change(this.#keptNames);
  }

  #open(name: string): StorageFile {
    return new CrashFile(this.machine, this.#inode(name));
  }

  #inode(name: string): Inode {
    const inode = this.#names.get(name);
    if (inode === undefined) throw Object.assign(new Error(`ENOENT: ${name}`), { code: 'ENOENT' });
    return inode;
  }

  #change(change: NameChange): void {
    change(this.#names);
    this.#nameChanges.push(change);
  }
}

class CrashFile implements StorageFile {
  readonly descriptor = undefined;

  constructor(
    private readonly machine: Machine,
    private readonly inode: Inode,
  ) {}

  async write(pieces: readonly Uint8Array[], offset: number): Promise<void> {
    await this.machine.call();
    const bytes = Buffer.concat(pieces);
    const { seen } = this.inode;
    const grown = Buffer.alloc(Math.max(seen.length, offset + bytes.length));
    seen.copy(grown);
    bytes.copy(grown, offset);
    this.inode.seen = grown;
  }

  async read(target: Uint8Array, offset: number): Promise<number> {
    return this.readSync(target, offset);
  }

  readSync(target: Uint8Array, offset: number): number {
    const part = this.inode.seen.subarray(offset, offset + target.length);
    target.set(part);
    return part.length;
  }

  async datasync(): Promise<void> {
    await this.machine.call();
    this.inode.kept = Buffer.from(this.inode.seen);
  }

  async truncate(length: number): Promise<void> {
    await this.machine.call();
    this.inode.seen = Buffer.from(this.inode.seen.subarray(0, length));
  }

  async size(): Promise<number> {
    return this.inode.seen.length;
  }

  async close(): Promise<void> {
    // Nothing is kept of an open file.
  }
}

/** Any mixture of the sectors on disk and those written since. */
function tear({ seen, kept }: Inode, random: SeededRandom): Buffer {
  const length = random.oneIn(2) ? seen.length : kept.length;
  const torn = Buffer.alloc(length);
  for (let at = 0; at < length; at += SECTOR) {
    const from = random.oneIn(2) ? seen : kept;
    from.subarray(at, Math.min(at + SECTOR, length)).copy(torn, at);
  }
  return torn;
}
