// What keeps a file store small: one background loop that owns two jobs and does them in slices.
//   Cleaning: when the files hold much more than is live, the oldest records are gone through; what is still needed
//   is written again at the end of the log, and the files before it are dropped.
//   Joining: a value that was appended to in many small parts gets its last parts joined, like sized to like, so that
//   each byte is rewritten a few times at most and a value has few parts.
// A slice is at most a mebibyte of data, written as one more record among the others; no writer waits for more.

import { isDwError } from '../../errors/index.js';
import { storeBusy } from '../errors.js';
import type { StoreBounds } from './file-store-options.js';
import type { NewOperation, StoreJournal } from './store-journal.js';
import type { Extent } from './value-index.js';
import { decodeStoreRecord, MAX_OPERATIONS } from './store-record.js';
import { readExtents } from './value-reader.js';

const SLICE_BYTES = 1024 * 1024;
/** Records looked at in a slice. */
const SLICE_RECORDS = 1000;
/** Parts of like size that are joined. */
const JOINED_PARTS = 16;
/** Parts below 1 KiB are one size, those below 16 KiB another; larger ones stay as they are. */
const SMALLEST_TIER_BYTES = 1024;
const TIERS = 2;
/** The files may hold this many times what is live, and this many files in any case. */
const GARBAGE_FACTOR = 3;
const FREE_SEGMENTS = 4;
/** Writes are refused when the files hold this many times what cleaning aims at: it cannot keep up. */
const HARD_FACTOR = 4;

/** The background work of one store. */
export class StoreUpkeep {
  readonly #toJoin = new Set<string>();
  #loop: Promise<void> | undefined;
  #stopping = false;
  /** Records before this have been cleaned. */
  #cleanedBefore: number;

  constructor(
    private readonly journal: StoreJournal,
    private readonly bounds: StoreBounds,
  ) {
    this.#cleanedBefore = journal.log.firstPosition;
  }

  /** Tells what was written, and starts the loop if there is something to do. */
  noticed(operations: readonly NewOperation[]): void {
    for (const { type, path } of operations) {
      if (type !== 'append' || this.#toJoin.has(path)) continue;
      if (this.#partsToJoin(path) !== undefined) this.#toJoin.add(path);
    }
    if (this.#toJoin.size === 0 && !this.#isOver(1)) return;
    if (this.#loop === undefined && !this.#stopping) this.#loop = this.#run();
  }

  /** @throws DwError `store-busy` when cleaning has fallen so far behind that the disk would fill. */
  checkRoom(): void {
    if (!this.#isOver(HARD_FACTOR)) return;
    this.noticed([]);
    throw storeBusy('cleaning cannot keep up with writing');
  }

  /** Stops after the slice that is under way. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#loop;
  }

  async #run(): Promise<void> {
    try {
      let busy = true;
      while (busy && !this.#stopping) {
        const path = this.#toJoin.values().next().value;
        if (path !== undefined) await this.#join(path);
        const cleaned = await this.#clean();
        busy = cleaned || this.#toJoin.size > 0;
      }
    } catch (error) {
      // Damage met while cleaning must not be passed over: what is cleaned next would be dropped.
      if (!this.#stopping) this.journal.fail(error);
    } finally {
      this.#loop = undefined;
    }
  }

  #isOver(factor: number): boolean {
    const { index, log } = this.journal;
    const wanted = Math.max(FREE_SEGMENTS * this.bounds.segmentBytes, GARBAGE_FACTOR * index.liveBytes);
    return log.statistics().bytes > factor * wanted;
  }

  /** Cleans one slice. @returns false when there is nothing to clean. */
  async #clean(): Promise<boolean> {
    if (!this.#isOver(1)) return false;
    const { log } = this.journal;
    // The newest record is kept in any case: it holds the last version number that was given out.
    const newest = log.durablePosition - 1;
    if (this.#cleanedBefore >= newest) return false;
    const moves: NewOperation[] = [];
    let bytes = 0;
    let records = 0;
    let next = this.#cleanedBefore;
    for await (const { position, data } of log.scan(this.#cleanedBefore)) {
      const parts =
        position < newest && records < SLICE_RECORDS ? this.#liveParts(position, data) : undefined;
      if (parts === undefined) break;
      bytes += parts.reduce((sum, part) => sum + part.data.byteLength, 0);
      // One record's parts always fit into one record again; more only as far as the slice goes.
      const isFull = bytes > SLICE_BYTES || moves.length + parts.length > MAX_OPERATIONS;
      if (isFull && moves.length > 0) break;
      moves.push(...parts);
      records += 1;
      next = position + 1;
    }
    await this.#move(moves);
    this.#cleanedBefore = next;
    await log.dropBefore(next);
    return true;
  }

  /** What of a record is still needed, as moves. */
  #liveParts(position: number, data: Uint8Array): NewOperation[] {
    const moves: NewOperation[] = [];
    for (const operation of decodeStoreRecord(position, data).operations) {
      const entry = this.journal.index.live(operation, position);
      if (entry === undefined) continue;
      const { path, generation, start, offset, length } = operation;
      const part = data.subarray(offset, offset + length);
      moves.push({ type: 'move', path, version: entry.version, generation, start, data: part });
    }
    return moves;
  }

  async #move(moves: readonly NewOperation[]): Promise<void> {
    if (moves.length === 0) return;
    for (;;) {
      try {
        await this.journal.record(moves);
        return;
      } catch (error) {
        // Writers fill the log; behind them there is room again.
        if (!isDwError(error, 'store-busy')) throw error;
        await this.journal.allSettled();
      }
    }
  }

  async #join(path: string): Promise<void> {
    this.#toJoin.delete(path);
    const parts = this.#partsToJoin(path);
    const entry = this.journal.index.get(path);
    const first = parts?.[0];
    if (parts === undefined || entry === undefined || first === undefined) return;
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    const data = await readExtents(this.journal, parts, length);
    // The value may have been replaced, or cleaning may have moved a part, while its parts were read.
    const now = this.journal.index.get(path);
    if (now !== entry) return;
    const at = entry.extents.indexOf(first);
    const same = data !== undefined && at >= 0 && parts.every((part, i) => entry.extents[at + i] === part);
    if (same) {
      const { generation, version } = entry;
      await this.#move([{ type: 'move', path, version, generation, start: first.start, data }]);
    }
    if (this.#partsToJoin(path) !== undefined) this.#toJoin.add(path);
  }

  /** The last parts of a value if there are enough of like size. */
  #partsToJoin(path: string): readonly Extent[] | undefined {
    const extents = this.journal.index.get(path)?.extents ?? [];
    const last = extents.at(-1);
    if (last === undefined || extents.length < JOINED_PARTS) return undefined;
    for (let tier = tierOf(last); tier < TIERS; tier++) {
      let from = extents.length;
      while (from > 0 && tierOf(extents[from - 1]) <= tier) from -= 1;
      if (extents.length - from >= JOINED_PARTS) return extents.slice(from, from + JOINED_PARTS);
    }
    return undefined;
  }
}

/** The size class of a part. */
function tierOf(part: Extent | undefined): number {
  let limit = SMALLEST_TIER_BYTES;
  let tier = 0;
  while (tier < TIERS && (part?.length ?? 0) >= limit) {
    limit *= 16;
    tier += 1;
  }
  return tier;
}
