// Streams a group's newest snapshot to a follower that is behind the log: chunk by chunk over the bulk lane, a few under
// way at once, at a rate that the operator sets. A transfer that breaks off is gone on with when the leader next finds
// the follower behind: its source is kept for a while, and the follower says which chunk it wants first.

import type { Clock, IPeerTransport, Logger } from '@datawarehouse/sdk';
import { errorMessage, isDwError } from '@datawarehouse/sdk';
import { snapshotTransferFailed } from '../errors.js';
import { CHUNK_HEADER_BYTES, MAX_CHUNK_BYTES, chunkCount, digestOf } from '../storage/snapshot-format.js';
import type { GroupStorage, SnapshotSource } from '../storage/types.js';
import { BandwidthLimit } from './bandwidth-limit.js';
import { SNAPSHOT_CHANNEL, decodeWanted, encodeTransfer } from './snapshot-transfer.js';

/** The receiver writes each chunk before it answers; the end waits for its fsync. */
const REQUEST_TIMEOUT_MS = 30_000;
/** Chunks of one transfer that are under way: enough to keep a link busy while the receiver's disk works. */
const WINDOW = 8;
/** For how long the source of a transfer that broke off is kept for the next try. */
const KEEP_SOURCE_MS = 120_000;

/**
 * What says that this source is of no use for another try: its file is damaged, its chunks are not what was announced, or
 * the receiver has what it replaces. The next try takes the newest snapshot, which may be whole.
 */
const NO_USE_AGAIN = new Set(['raft-log-damaged', 'raft-snapshot-chunk-refused', 'raft-snapshot-misplaced']);

/** What is sent, to whom. */
export interface SnapshotTransfer {
  readonly groupId: string;
  readonly peer: string;
  /** Term of the leader that sends. */
  readonly term: number;
  readonly storage: GroupStorage;
  /** The peer holds no state: it is sent what the snapshot stands for, and no body. */
  readonly metadataOnly: boolean;
}

/** Limits of the sender; asked at each use. */
export interface SenderLimits {
  /** Transfers from this node at once; more wait for the follower's next sign of life. */
  readonly maxSnapshotTransfers: number;
  /** Bytes a second of all transfers of this node together; 0 is no limit. */
  readonly snapshotBytesPerSecond: number;
}

interface KeptSource {
  readonly source: SnapshotSource;
  readonly until: number;
}

/** Sends snapshots to followers. */
export class SnapshotSender {
  private readonly active = new Map<string, { readonly abort: AbortController; index: number }>();
  /** Sources of transfers that broke off, by group and peer. At most {@link SenderLimits.maxSnapshotTransfers}. */
  private readonly kept = new Map<string, KeptSource>();
  private readonly bandwidth: BandwidthLimit;
  private sequence = 0;
  private sentCount = 0;
  private byteCount = 0;

  /** @param onDone Told how each transfer ended; never called within `start`. */
  constructor(
    private readonly transport: IPeerTransport,
    private readonly log: Logger,
    private readonly clock: Clock,
    private readonly limits: () => SenderLimits,
    private readonly onDone: (groupId: string, peer: string, ok: boolean) => void,
  ) {
    this.bandwidth = new BandwidthLimit(clock, () => this.limits().snapshotBytesPerSecond);
  }

  /** Snapshots delivered. */
  get sent(): number {
    return this.sentCount;
  }

  /** Bytes of chunks that were sent, again or for the first time. */
  get bytes(): number {
    return this.byteCount;
  }

  /** Transfers under way. */
  get transfers(): number {
    return this.active.size;
  }

  /** The lowest index of a group's snapshots that are on their way: the entries after it will be wanted next. */
  lowestIndex(groupId: string): number | undefined {
    let lowest: number | undefined;
    for (const [key, { index }] of this.active) {
      if (key.startsWith(`${groupId} `)) lowest = Math.min(lowest ?? index, index);
    }
    return lowest;
  }

  /** Begins a transfer, unless one to this peer is under way already. */
  start(transfer: SnapshotTransfer): void {
    const key = `${transfer.groupId} ${transfer.peer}`;
    if (this.active.has(key)) return;
    const abort = new AbortController();
    this.active.set(key, { abort, index: transfer.storage.snapshot()?.metadata.index ?? 0 });
    const fields = { group: transfer.groupId, peer: transfer.peer };
    void this.run(key, transfer, abort.signal).then(
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

  /** Lets go of sources that nobody came back for. Call it every few seconds. */
  sweep(): void {
    const now = this.clock.now();
    for (const [key, { until }] of this.kept) if (until <= now) this.forget(key);
  }

  /** Ends all transfers, and those of one group when it is given. */
  stop(groupId?: string): void {
    const mine = (key: string): boolean => groupId === undefined || key.startsWith(`${groupId} `);
    for (const [key, { abort }] of this.active) {
      if (mine(key)) abort.abort(snapshotTransferFailed('the sender stops'));
    }
    for (const key of this.kept.keys()) if (mine(key)) this.forget(key);
  }

  private async run(key: string, transfer: SnapshotTransfer, signal: AbortSignal): Promise<void> {
    // Lets `start` return first, and its caller finish its turn.
    await Promise.resolve();
    if (this.active.size > this.limits().maxSnapshotTransfers) {
      throw snapshotTransferFailed('too many are under way');
    }
    const source = await this.sourceOf(key, transfer);
    const active = this.active.get(key);
    if (active !== undefined) active.index = source.metadata.index;
    let finished = false;
    try {
      await this.send(transfer, source, signal);
      finished = true;
    } catch (error) {
      if (isDwError(error) && NO_USE_AGAIN.has(error.code)) finished = true;
      throw error;
    } finally {
      if (finished || signal.aborted) await source.close();
      else this.keep(key, source);
    }
  }

  private async send(transfer: SnapshotTransfer, source: SnapshotSource, signal: AbortSignal): Promise<void> {
    const id = ++this.sequence;
    const { groupId, peer, term } = transfer;
    const { metadata, shape } = source;
    const begin = { kind: 'begin', transfer: id, groupId, term, metadata, shape } as const;
    const answer = await this.request(peer, encodeTransfer(begin), signal);
    const count = chunkCount(shape.bytes);
    const first = decodeWanted(answer);
    if (first > count) throw snapshotTransferFailed(`chunk ${first} is wanted, of ${count}`);
    let next = first;
    const failed = new AbortController();
    const both = AbortSignal.any([signal, failed.signal]);
    const lane = async (): Promise<void> => {
      // Used again only when the answer is there, and so after its bytes have gone.
      const buffer = Buffer.allocUnsafe(CHUNK_HEADER_BYTES + MAX_CHUNK_BYTES);
      while (next < count) {
        const chunk = next++;
        await this.bandwidth.take(MAX_CHUNK_BYTES, both);
        const block = await source.read(chunk, buffer);
        await this.request(peer, encodeTransfer({ kind: 'chunk', transfer: id, chunk, block }), both);
        this.byteCount += block.length;
      }
    };
    const lanes = Array.from({ length: Math.min(WINDOW, count - first) }, async () => {
      try {
        await lane();
      } catch (error) {
        // The first failure is the one that is told; the others end because of it.
        if (!failed.signal.aborted) failed.abort(error);
      }
    });
    await Promise.all(lanes);
    if (failed.signal.aborted) throw failed.signal.reason;
    await this.request(peer, encodeTransfer({ kind: 'end', transfer: id }), signal);
  }

  /** The source of the try before, if the log still goes on from where it ends; else the newest snapshot. */
  private async sourceOf(key: string, { storage, metadataOnly }: SnapshotTransfer): Promise<SnapshotSource> {
    const kept = this.kept.get(key);
    if (kept !== undefined) {
      this.kept.delete(key);
      if (kept.source.metadata.index + 1 >= storage.firstIndex()) return kept.source;
      await kept.source.close();
    }
    const newest = storage.snapshot();
    if (newest === undefined) throw snapshotTransferFailed('there is no snapshot');
    if (!metadataOnly) return storage.openSnapshot();
    return {
      metadata: newest.metadata,
      shape: { bytes: 0, digest: digestOf([]) },
      read: () => Promise.reject(snapshotTransferFailed('it has no chunks')),
      close: async () => undefined,
    };
  }

  private keep(key: string, source: SnapshotSource): void {
    this.forget(key);
    for (const oldest of this.kept.keys()) {
      if (this.kept.size < this.limits().maxSnapshotTransfers) break;
      this.forget(oldest);
    }
    this.kept.set(key, { source, until: this.clock.now() + KEEP_SOURCE_MS });
  }

  private forget(key: string): void {
    const kept = this.kept.get(key);
    if (kept === undefined) return;
    this.kept.delete(key);
    kept.source.close().catch((error: unknown) => {
      this.log.warn({ reason: errorMessage(error) }, 'could not close a snapshot');
    });
  }

  private request(peer: string, parts: readonly Uint8Array[], signal: AbortSignal): Promise<Buffer> {
    return this.transport.request(peer, SNAPSHOT_CHANNEL, parts, {
      lane: 'bulk',
      timeoutMs: REQUEST_TIMEOUT_MS,
      signal,
    });
  }
}
