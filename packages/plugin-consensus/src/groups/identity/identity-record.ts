// What a node remembers of who it is and whom it has met: its own storage id, how far its first start has come, and the
// storage id of each peer from which it ever took a Raft message. It lies in the plugin's store, apart from the Raft
// storage, so that the loss or exchange of either one is noticed by the other.

import type { IPersistentBackingStore } from '@datawarehouse/sdk';
import { errorMessage } from '@datawarehouse/sdk';
import { malformed } from '../../errors.js';
import { identityTableFull, storageSwapped } from './identity-errors.js';

/**
 * How far a node's start has come.
 * - `undecided`: its storage is new, and nobody has said yet whether it had another one before
 * - `bootstrapping`: it is new for sure and makes the groups that the configuration gives it
 * - `member`: it has made them; from now on it has the replicas that are on its disk and no others
 * - `returning`: it lost its storage. It makes no group by itself; leaders bring it back
 */
export type StartState = 'undecided' | 'bootstrapping' | 'member' | 'returning';

/** What of a node's Raft storage says who it is. */
export interface StorageIdentity {
  readonly storageId: string;
  /** Whether it was made in this start. */
  readonly fresh: boolean;
  readonly groupIds: readonly string[];
}

interface Content {
  readonly nodeId: string;
  readonly storageId: string;
  readonly start: StartState;
  readonly peers: Readonly<Record<string, string>>;
}

/** Above the most members that a cluster can have, so that nodes that come and go find room. */
const MAX_PEERS = 4_096;
const MAX_ID_LENGTH = 256;
const STATES: readonly string[] = ['undecided', 'bootstrapping', 'member', 'returning'];

/** The durable record. All changes are on disk when their promise resolves, and are seen only then. */
export class IdentityRecord {
  private readonly peers: Map<string, string>;
  private tail: Promise<unknown> = Promise.resolve();

  private constructor(
    private readonly store: IPersistentBackingStore,
    private readonly path: string,
    readonly nodeId: string,
    readonly storageId: string,
    private state: StartState,
    peers: Iterable<readonly [string, string]>,
  ) {
    this.peers = new Map(peers);
  }

  /**
   * Reads the record, or makes it, and compares it with the storage that is there.
   * @throws DwError `storage-swapped`; `frame-malformed` when the record cannot be read.
   */
  static async open(
    store: IPersistentBackingStore,
    path: string,
    nodeId: string,
    storage: StorageIdentity,
  ): Promise<IdentityRecord> {
    const { storageId, fresh, groupIds } = storage;
    const bytes = await store.readAsync(path);
    const known = bytes === null ? undefined : parse(bytes, path);
    if (known !== undefined && known.nodeId !== nodeId) {
      throw storageSwapped(nodeId, `it is that of node ${known.nodeId}`);
    }
    if (known !== undefined && known.storageId !== storageId && !fresh) {
      throw storageSwapped(nodeId, 'its Raft storage was put there from elsewhere');
    }
    let start: StartState;
    if (known === undefined) start = fresh || groupIds.length === 0 ? 'undecided' : 'member';
    // The Raft storage is new and this node had another one before: nobody has to be asked.
    else start = known.storageId === storageId ? known.start : 'returning';
    const peers = Object.entries(known?.peers ?? {});
    const record = new IdentityRecord(store, path, nodeId, storageId, start, peers);
    await record.save(start, record.peers);
    return record;
  }

  get start(): StartState {
    return this.state;
  }

  /** Moves on to another state. */
  async enter(start: StartState): Promise<void> {
    await this.change(async () => {
      await this.save(start, this.peers);
      this.state = start;
    });
  }

  /** The storage id under which a peer is known. */
  peer(id: string): string | undefined {
    return this.peers.get(id);
  }

  /** The node that is known under a storage id, this one included. */
  ownerOf(storageId: string): string | undefined {
    if (storageId === this.storageId) return this.nodeId;
    for (const [id, known] of this.peers) if (known === storageId) return id;
    return undefined;
  }

  /** Knows a peer under this storage id from now on. @throws DwError `identity-table-full`. */
  async remember(id: string, storageId: string): Promise<void> {
    await this.change(async () => {
      if (this.peers.get(id) === storageId) return;
      if (!this.peers.has(id) && this.peers.size >= MAX_PEERS) throw identityTableFull(MAX_PEERS);
      await this.save(this.state, new Map([...this.peers, [id, storageId]]));
      this.peers.set(id, storageId);
    });
  }

  /** Forgets a peer, which was removed from the cluster: a new node may take its id. */
  async forget(id: string): Promise<void> {
    await this.change(async () => {
      if (!this.peers.has(id)) return;
      await this.save(this.state, new Map([...this.peers].filter(([peer]) => peer !== id)));
      this.peers.delete(id);
    });
  }

  private change(work: () => Promise<void>): Promise<void> {
    // Whoever asked for the change before hears of its failure.
    const done = this.tail.then(work, work);
    this.tail = done;
    return done;
  }

  private async save(start: StartState, peers: ReadonlyMap<string, string>): Promise<void> {
    const { nodeId, storageId } = this;
    const content: Content = { nodeId, storageId, start, peers: Object.fromEntries(peers) };
    await this.store.writeAsync(this.path, Buffer.from(JSON.stringify(content)));
  }
}

function parse(bytes: Uint8Array, path: string): Content {
  const what = `the record of identities at ${path}`;
  let content: Partial<Content> | null;
  try {
    content = JSON.parse(Buffer.from(bytes).toString()) as Partial<Content> | null;
  } catch (error) {
    throw malformed(what, errorMessage(error));
  }
  const { nodeId, storageId, start, peers } = content ?? {};
  if (!isId(nodeId) || !isId(storageId)) throw malformed(what, 'it names no node and storage');
  if (start === undefined || !STATES.includes(start)) throw malformed(what, 'it is in no known state');
  if (typeof peers !== 'object' || !Object.values(peers).every(isId))
    throw malformed(what, 'it has no peers');
  return { nodeId, storageId, start, peers };
}

/** Whether a value may stand for a node or a storage. */
export function isId(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= MAX_ID_LENGTH;
}
