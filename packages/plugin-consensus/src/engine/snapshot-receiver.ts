// Takes in a snapshot that a leader streams: writes each chunk to its place as it comes, holding no more than what is
// being written, and only when the whole is durable tells the core of it. Whatever does not follow the protocol ends
// the transfer, nothing else.

import type { Clock } from '@datawarehouse/sdk';
import { isDwError } from '@datawarehouse/sdk';
import { snapshotTransferFailed } from '../errors.js';
import type { Snapshot, SnapshotMetadata } from '../raft/types.js';
import { CHUNK_HEADER_BYTES, MAX_CHUNK_BYTES, type SnapshotShape } from '../storage/snapshot-format.js';
import type { SnapshotSink } from '../storage/types.js';
import {
  type TransferBegin,
  type TransferRequest,
  decodeTransfer,
  encodeWanted,
} from './snapshot-transfer.js';

/** A transfer of which nothing was heard for so long is given up. */
const IDLE_MS = 60_000;
/** Transfers at once into this node, one for each group and sender. */
const MAX_TRANSFERS = 8;
/** Chunks of one transfer that are being written: bounds its memory to some 8 MiB whatever the sender does. */
const MAX_WRITES = 32;
/**
 * Buffers for chunks that are kept for the next ones. A new one for each would have the collector clear away as many
 * bytes as come, and that takes processors from the writes that go on meanwhile.
 */
const KEPT_BUFFERS = 8;
const EMPTY = new Uint8Array(0);

interface Incoming {
  readonly id: number;
  readonly from: string;
  readonly groupId: string;
  readonly term: number;
  readonly sink: Promise<SnapshotSink>;
  writes: number;
  lastHeard: number;
}

/** Where snapshots go. */
export interface SnapshotTarget {
  /** Begins to receive a snapshot. @throws DwError, also when there is no such group here. */
  receive(groupId: string, metadata: SnapshotMetadata, shape: SnapshotShape): Promise<SnapshotSink>;
  /** Tells the core of a snapshot that is durable, or that is no newer than what is there: it answers how far it is. */
  deliver(groupId: string, from: string, term: number, snapshot: Snapshot): void;
}

/** Receives snapshots from leaders. */
export class SnapshotReceiver {
  /** By sender and group: a sender has one transfer into a group at a time. */
  private readonly incoming = new Map<string, Incoming>();
  /** Of the size of a whole block, and free. None while nothing is received. */
  private readonly buffers: Buffer[] = [];

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
    const request = decodeTransfer(payload);
    if (request.kind === 'begin') return this.begin(from, request);
    const incoming = this.find(from, request.transfer);
    incoming.lastHeard = this.clock.now();
    if (request.kind === 'chunk') await this.chunk(incoming, request);
    else await this.end(incoming);
    return EMPTY;
  }

  /** Gives up transfers of which nothing was heard. Call it every few seconds. */
  sweep(): void {
    const limit = this.clock.now() - IDLE_MS;
    for (const incoming of this.incoming.values()) {
      if (incoming.lastHeard < limit && incoming.writes === 0) this.drop(incoming);
    }
  }

  /** Gives up all transfers, or those into one group. */
  stop(groupId?: string): void {
    for (const incoming of this.incoming.values()) {
      if (groupId === undefined || incoming.groupId === groupId) this.drop(incoming);
    }
  }

  private async begin(
    from: string,
    { transfer, groupId, term, metadata, shape }: TransferBegin,
  ): Promise<Uint8Array> {
    const key = `${from} ${groupId}`;
    const before = this.incoming.get(key);
    if (before !== undefined) this.drop(before);
    if (this.incoming.size >= MAX_TRANSFERS) throw snapshotTransferFailed('too many are under way');
    const sink = this.target.receive(groupId, metadata, shape);
    const now = this.clock.now();
    const incoming: Incoming = { id: transfer, from, groupId, term, sink, writes: 0, lastHeard: now };
    this.incoming.set(key, incoming);
    try {
      return encodeWanted((await sink).next);
    } catch (error) {
      const mine = this.isUnderWay(incoming);
      this.drop(incoming);
      // The leader has not heard how far this replica is, and would send the same again and again.
      if (mine && isDwError(error, 'raft-snapshot-misplaced')) {
        this.target.deliver(groupId, from, term, { metadata, data: EMPTY });
      }
      throw error;
    }
  }

  private async chunk(
    incoming: Incoming,
    { chunk, block }: Extract<TransferRequest, { kind: 'chunk' }>,
  ): Promise<void> {
    if (block.length > CHUNK_HEADER_BYTES + MAX_CHUNK_BYTES || incoming.writes >= MAX_WRITES) {
      this.drop(incoming);
      throw snapshotTransferFailed('a chunk is too large, or more come than are answered');
    }
    incoming.writes++;
    // The transport lends the bytes for the time of the call.
    const buffer = this.buffers.pop() ?? Buffer.allocUnsafeSlow(CHUNK_HEADER_BYTES + MAX_CHUNK_BYTES);
    buffer.set(block);
    try {
      await (await incoming.sink).write(chunk, buffer.subarray(0, block.length));
      // Only now: after a failure it is not known whether the disk still reads from it.
      if (this.buffers.length < KEPT_BUFFERS && this.incoming.size > 0) this.buffers.push(buffer);
    } catch (error) {
      this.drop(incoming);
      throw error;
    } finally {
      incoming.writes--;
      incoming.lastHeard = this.clock.now();
    }
  }

  private async end(incoming: Incoming): Promise<void> {
    incoming.writes++;
    try {
      const snapshot = await (await incoming.sink).finish();
      // Meanwhile the replica may have gone, and another one may have its place.
      if (!this.isUnderWay(incoming)) throw snapshotTransferFailed('it was given up');
      this.target.deliver(incoming.groupId, incoming.from, incoming.term, snapshot);
    } finally {
      incoming.writes--;
      this.drop(incoming);
    }
  }

  private find(from: string, id: number): Incoming {
    for (const incoming of this.incoming.values()) {
      if (incoming.id === id && incoming.from === from) return incoming;
    }
    throw snapshotTransferFailed('it was given up, or never began');
  }

  private isUnderWay(incoming: Incoming): boolean {
    return this.incoming.get(`${incoming.from} ${incoming.groupId}`) === incoming;
  }

  private drop(incoming: Incoming): void {
    if (this.isUnderWay(incoming)) this.incoming.delete(`${incoming.from} ${incoming.groupId}`);
    if (this.incoming.size === 0) this.buffers.length = 0;
    // What was received stays for the next try, which checks it. A sink that could not be opened has told its sender so.
    void incoming.sink.then((sink) => sink.close()).catch(() => undefined);
  }
}
