// Takes in a snapshot that a leader streams: writes it to disk as it comes, holding at most one chunk, and only when it
// is durable as a whole tells the core of it. Whatever does not follow the protocol ends the transfer, nothing else.

import type { Clock } from '@datawarehouse/sdk';
import { ByteReader } from '../codec/byte-reader.js';
import { snapshotTransferFailed } from '../errors.js';
import type { Snapshot, SnapshotMetadata } from '../raft/types.js';
import { ChunkQueue } from './chunk-queue.js';
import { readSnapshotMetadata } from './message-codec.js';
import { MAX_CHUNK_BYTES, TRANSFER } from './snapshot-sender.js';

/** A transfer of which nothing was heard for so long is given up. */
const IDLE_MS = 60_000;
/** Transfers at once into this node, one for each group and sender. */
const MAX_TRANSFERS = 8;
const WHAT = 'a snapshot transfer';
const EMPTY = new Uint8Array(0);

interface Incoming {
  readonly id: number;
  readonly groupId: string;
  readonly term: number;
  readonly queue: ChunkQueue;
  /** Settles when the storage has everything, or has given up. */
  readonly received: Promise<Snapshot>;
  next: number;
  lastHeard: number;
}

/** Where snapshots go. */
export interface SnapshotTarget {
  /** Writes a snapshot durably. @throws DwError, also when there is no such group here. */
  receive(groupId: string, metadata: SnapshotMetadata, chunks: AsyncIterable<Uint8Array>): Promise<Snapshot>;
  /** Tells the core of a snapshot that is durable. */
  deliver(groupId: string, from: string, term: number, snapshot: Snapshot): void;
}

/** Receives snapshots from leaders. */
export class SnapshotReceiver {
  /** By sender and group: a sender has one transfer into a group at a time. */
  private readonly incoming = new Map<string, Incoming>();

  constructor(
    private readonly target: SnapshotTarget,
    private readonly clock: Clock,
  ) {}

  /** Transfers under way. */
  get size(): number {
    return this.incoming.size;
  }

  /** Handles one request. @throws DwError when it does not fit the transfer. */
  async onRequest(from: string, payload: Buffer): Promise<Uint8Array> {
    const reader = new ByteReader(payload, WHAT);
    const kind = reader.u8();
    const id = reader.varint();
    if (kind === TRANSFER.begin) this.begin(from, id, reader);
    else if (kind === TRANSFER.chunk) await this.chunk(from, id, reader);
    else if (kind === TRANSFER.end) await this.end(from, id, reader);
    else throw snapshotTransferFailed(`there is no request of kind ${kind}`);
    return EMPTY;
  }

  /** Gives up transfers of which nothing was heard. Call it every few seconds. */
  sweep(): void {
    const limit = this.clock.now() - IDLE_MS;
    for (const [key, incoming] of this.incoming) {
      if (incoming.lastHeard < limit) this.drop(key, 'its sender went silent');
    }
  }

  /** Gives up all transfers. */
  stop(): void {
    for (const key of this.incoming.keys()) this.drop(key, 'the receiver stops');
  }

  private begin(from: string, id: number, reader: ByteReader): void {
    const groupId = reader.text(256);
    const term = reader.varint();
    const metadata = readSnapshotMetadata(reader);
    reader.end();
    const key = `${from} ${groupId}`;
    this.drop(key, 'its sender began again');
    if (this.incoming.size >= MAX_TRANSFERS) throw snapshotTransferFailed('too many are under way');
    const queue = new ChunkQueue();
    const received = this.target.receive(groupId, metadata, queue);
    // Whoever pushes or ends hears of a failure; a transfer that nobody goes on with has no one to tell.
    received.catch((error: unknown) => queue.fail(error));
    this.incoming.set(key, { id, groupId, term, queue, received, next: 0, lastHeard: this.clock.now() });
  }

  private async chunk(from: string, id: number, reader: ByteReader): Promise<void> {
    const { key, incoming } = this.find(from, id);
    const sequence = reader.varint();
    if (sequence !== incoming.next || reader.remaining > MAX_CHUNK_BYTES) {
      this.drop(key, 'a chunk is out of order or too large');
      throw snapshotTransferFailed(`chunk ${sequence} came where ${incoming.next} was expected`);
    }
    incoming.next++;
    incoming.lastHeard = this.clock.now();
    // The transport lends the bytes for the time of the call only as far as we know: keep a copy.
    await incoming.queue.push(Buffer.from(reader.rest()));
    incoming.lastHeard = this.clock.now();
  }

  private async end(from: string, id: number, reader: ByteReader): Promise<void> {
    const { key, incoming } = this.find(from, id);
    const count = reader.varint();
    if (count !== incoming.next) {
      this.drop(key, 'chunks are missing');
      throw snapshotTransferFailed(`${count} chunks were sent and ${incoming.next} arrived`);
    }
    incoming.queue.end();
    try {
      const snapshot = await incoming.received;
      this.target.deliver(incoming.groupId, from, incoming.term, snapshot);
    } finally {
      if (this.incoming.get(key) === incoming) this.incoming.delete(key);
    }
  }

  private find(from: string, id: number): { readonly key: string; readonly incoming: Incoming } {
    for (const [key, incoming] of this.incoming) {
      if (incoming.id === id && key.startsWith(`${from} `)) return { key, incoming };
    }
    throw snapshotTransferFailed('it was given up, or never began');
  }

  private drop(key: string, why: string): void {
    const incoming = this.incoming.get(key);
    if (incoming === undefined) return;
    this.incoming.delete(key);
    incoming.queue.fail(snapshotTransferFailed(why));
  }
}
