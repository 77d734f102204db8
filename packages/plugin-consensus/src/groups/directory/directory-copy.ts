// This node's own copy of the directory: the newest that it has seen, kept on its disk, so that it knows its peers and
// groups before it can reach anybody, and knows that it was retired after everybody has forgotten it.
// A directory takes the place of the copy only if its version is higher. It is written first and told afterwards; when
// several come while one is written, only the newest of them is.

import type { IPersistentBackingStore, Logger } from '@datawarehouse/sdk';
import { decodeDirectory, encodeDirectory } from './directory-codec.js';
import type { DirectoryView } from './directory-types.js';

/**
 * What this node is to the cluster: `joining` before any directory named it, `member` while the newest does, `retired`
 * once a newer one does not. A retired node stays so: only one with a fresh data directory may take its name.
 */
export type Standing = 'joining' | 'member' | 'retired';

const STANDINGS: Readonly<Record<number, Standing>> = { 0x4a: 'joining', 0x4d: 'member', 0x52: 'retired' };
const MARKS: Readonly<Record<Standing, number>> = { joining: 0x4a, member: 0x4d, retired: 0x52 };

/** What a copy is made of. */
export interface DirectoryCopyOptions {
  readonly store: IPersistentBackingStore;
  /** `dw://` path. */
  readonly path: string;
  readonly nodeId: string;
  readonly log: Logger;
  /** Told of each directory that took the place of another, with that other. */
  readonly onAdopted: (view: DirectoryView, before: DirectoryView) => void;
}

/** The newest directory that this node has seen. */
export class DirectoryCopy {
  private next: DirectoryView | undefined;
  private writing: Promise<void> | undefined;

  private constructor(
    private readonly options: DirectoryCopyOptions,
    private current: DirectoryView,
    private standingNow: Standing,
  ) {}

  /**
   * Reads the copy, or begins one with what `first` gives.
   * @throws DwError `frame-malformed` when the file is damaged, and of the store.
   */
  static async open(
    options: DirectoryCopyOptions,
    first: () => Promise<DirectoryView>,
  ): Promise<DirectoryCopy> {
    const bytes = await options.store.readAsync(options.path);
    if (bytes !== null) {
      const view = decodeDirectory(bytes.subarray(1));
      return new DirectoryCopy(options, view, STANDINGS[bytes[0] ?? 0] ?? 'member');
    }
    const view = await first();
    const copy = new DirectoryCopy(options, view, names(view, options.nodeId) ? 'member' : 'joining');
    await copy.write(view, copy.standingNow);
    return copy;
  }

  get view(): DirectoryView {
    return this.current;
  }

  get standing(): Standing {
    return this.standingNow;
  }

  /** Takes a directory if it is newer than the copy and than what waits to be written. @returns whether it is. */
  offer(view: DirectoryView): boolean {
    if (view.version <= Math.max(this.current.version, this.next?.version ?? 0)) return false;
    this.next = view;
    this.writing ??= this.writeAll().finally(() => {
      this.writing = undefined;
    });
    return true;
  }

  /** Resolves when nothing is being written. */
  async settled(): Promise<void> {
    await this.writing;
  }

  private async writeAll(): Promise<void> {
    for (let view = this.next; view !== undefined; view = this.next) {
      const standing = this.standingWith(view);
      try {
        await this.write(view, standing);
      } catch (err) {
        // To know the members matters more than to know them after a restart: it will be told again.
        this.options.log.error({ err, version: view.version }, 'could not keep the directory of the cluster');
      }
      if (this.next === view) this.next = undefined;
      const before = this.current;
      this.current = view;
      this.standingNow = standing;
      this.options.onAdopted(view, before);
    }
  }

  private standingWith(view: DirectoryView): Standing {
    if (this.standingNow === 'retired') return 'retired';
    if (names(view, this.options.nodeId)) return 'member';
    return this.standingNow === 'member' ? 'retired' : 'joining';
  }

  private async write(view: DirectoryView, standing: Standing): Promise<void> {
    const { store, path } = this.options;
    await store.writeAsync(path, Buffer.concat([Buffer.of(MARKS[standing]), ...encodeDirectory(view)]));
  }
}

function names({ nodes }: DirectoryView, nodeId: string): boolean {
  return nodes.some(({ id }) => id === nodeId);
}
