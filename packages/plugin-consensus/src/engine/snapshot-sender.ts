// Streams a group's newest snapshot to a follower that is behind the log: over the bulk lane, chunk by chunk, each
// acknowledged before the next is read, so that it takes one chunk of memory and delays nothing else. A transfer that
// fails is begun again from the start when the leader next finds the follower behind.

import type { IPeerTransport, Logger } from '@datawarehouse/sdk';
import { errorMessage } from '@datawarehouse/sdk';
import { ByteWriter } from '../codec/byte-writer.js';
import { snapshotTransferFailed } from '../errors.js';
import type { GroupStorage } from '../storage/types.js';
import { writeSnapshotMetadata } from './message-codec.js';

/** Channel of snapshot transfers. */
export const SNAPSHOT_CHANNEL = 'dw.raft.snapshot';
/** Kinds of requests of a transfer. */
export const TRANSFER = { begin: 1, chunk: 2, end: 3 } as const;
/** Largest piece of a snapshot in one request. */
export const MAX_CHUNK_BYTES = 256 * 1_024;

/** The receiver writes each chunk before it answers; the end waits for its fsync. */
const REQUEST_TIMEOUT_MS = 30_000;
/** Transfers at once from this node; more wait for the follower's next sign of life. */
const MAX_TRANSFERS = 4;

/** What is sent, to whom. */
export interface SnapshotTransfer {
  readonly groupId: string;
  readonly peer: string;
  /** Term of the leader that sends. */
  readonly term: number;
  readonly storage: GroupStorage;
}

/** Sends snapshots to followers. */
export class SnapshotSender {
  private readonly active = new Map<string, AbortController>();
  private sequence = 0;
  private sentCount = 0;

  /** @param onDone Told how each transfer ended; never called within `start`. */
  constructor(
    private readonly transport: IPeerTransport,
    private readonly log: Logger,
    private readonly onDone: (groupId: string, peer: string, ok: boolean) => void,
  ) {}

  /** Snapshots delivered. */
  get sent(): number {
    return this.sentCount;
  }

  /** Begins a transfer, unless one to this peer is under way already. */
  start(transfer: SnapshotTransfer): void {
    const key = `${transfer.groupId} ${transfer.peer}`;
    if (this.active.has(key)) return;
    const abort = new AbortController();
    this.active.set(key, abort);
    const fields = { group: transfer.groupId, peer: transfer.peer };
    void this.run(transfer, abort.signal).then(
      () => {
        this.active.delete(key);
        this.sentCount++;
        this.log.info(fields, 'sent a snapshot');
        this.onDone(transfer.groupId, transfer.peer, true);
      },
      (error: unknown) => {
        this.active.delete(key);
        if (abort.signal.aborted) return;
        this.log.warn({ ...fields, reason: errorMessage(error) }, 'could not send a snapshot');
        this.onDone(transfer.groupId, transfer.peer, false);
      },
    );
  }

  /** Ends the transfers of a group. */
  cancel(groupId: string): void {
    for (const [key, abort] of this.active) {
      if (key.startsWith(`${groupId} `)) abort.abort(snapshotTransferFailed('the group is closed'));
    }
  }

  /** Ends all transfers. */
  stop(): void {
    for (const abort of this.active.values()) abort.abort(snapshotTransferFailed('the sender stops'));
  }

  private async run(transfer: SnapshotTransfer, signal: AbortSignal): Promise<void> {
    // Lets `start` return first, and its caller finish its turn.
    await Promise.resolve();
    const snapshot = transfer.storage.snapshot();
    if (snapshot === undefined) throw snapshotTransferFailed('there is no snapshot');
    if (this.active.size > MAX_TRANSFERS) throw snapshotTransferFailed('too many are under way');
    const chunks = transfer.storage.readSnapshot();
    const id = ++this.sequence;
    const begin = new ByteWriter();
    begin.u8(TRANSFER.begin);
    begin.varint(id);
    begin.text(transfer.groupId);
    begin.varint(transfer.term);
    writeSnapshotMetadata(begin, snapshot.metadata);
    await this.request(transfer.peer, [begin.finish()], signal);
    let count = 0;
    for await (const chunk of chunks) {
      for (let at = 0; at < chunk.length; at += MAX_CHUNK_BYTES) {
        const head = new ByteWriter(16);
        head.u8(TRANSFER.chunk);
        head.varint(id);
        head.varint(count++);
        await this.request(transfer.peer, [head.finish(), chunk.subarray(at, at + MAX_CHUNK_BYTES)], signal);
      }
    }
    const end = new ByteWriter(16);
    end.u8(TRANSFER.end);
    end.varint(id);
    end.varint(count);
    await this.request(transfer.peer, [end.finish()], signal);
  }

  private async request(peer: string, parts: readonly Uint8Array[], signal: AbortSignal): Promise<void> {
    await this.transport.request(peer, SNAPSHOT_CHANNEL, parts, {
      lane: 'bulk',
      timeoutMs: REQUEST_TIMEOUT_MS,
      signal,
    });
  }
}
