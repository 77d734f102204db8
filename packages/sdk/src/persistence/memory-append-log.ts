// An append log that lives in memory, for tests and for state that may die with the process. It keeps the whole
// contract of IAppendLog, group commit and fail-stop included; only "on disk" means "the given sync has returned".

import type { DwError } from '../errors/index.js';
import type { AppendLogStatistics, IAppendLog, LogRecord } from './append-log.js';
import { logClosed, logFailed, logFull, logRecordTooLarge } from './errors.js';

/** Options of a {@link MemoryAppendLog}. */
export interface MemoryAppendLogOptions {
  /** Name in messages. Default `memory`. */
  readonly name?: string;
  /** Largest record, in bytes. Default 16 MiB. */
  readonly maxRecordBytes?: number;
  /** Bytes that may wait for `sync`. Default 64 MiB. */
  readonly maxPendingBytes?: number;
  /** Bytes it may hold; beyond, appends fail with `log-full`. Default 256 MiB. */
  readonly maxBytes?: number;
  /**
   * Stands for the disk: called once for each group of appends, which become durable when it resolves; a rejection
   * fails the log for good. Tests hold it, or make it fail. Default: at once.
   */
  readonly sync?: () => Promise<void>;
  /** Told once when the log fails. */
  readonly onFailed?: (error: DwError) => void;
}

const MIB = 1024 * 1024;

/** An {@link IAppendLog} in memory. */
export class MemoryAppendLog implements IAppendLog {
  readonly #name: string;
  readonly #maxRecordBytes: number;
  readonly #maxPendingBytes: number;
  readonly #maxBytes: number;
  readonly #sync: () => Promise<void>;
  readonly #onFailed: ((error: DwError) => void) | undefined;
  /** Records from `#first` on. */
  #records: Uint8Array[] = [];
  #first = 1;
  #durable = 1;
  #bytes = 0;
  #pendingBytes = 0;
  #appends = 0;
  #syncs = 0;
  #failure: DwError | undefined;
  #closing: Promise<void> | undefined;
  /** Resolves when the group that is being filled is durable; undefined when no group is open. */
  #group: Promise<void> | undefined;
  /** The group before it. A group starts when the one before has ended. */
  #running: Promise<void> = Promise.resolve();

  constructor(options: MemoryAppendLogOptions = {}) {
    this.#name = options.name ?? 'memory';
    this.#maxRecordBytes = options.maxRecordBytes ?? 16 * MIB;
    this.#maxPendingBytes = options.maxPendingBytes ?? 64 * MIB;
    this.#maxBytes = options.maxBytes ?? 256 * MIB;
    this.#sync = options.sync ?? (() => Promise.resolve());
    this.#onFailed = options.onFailed;
  }

  get firstPosition(): number {
    return this.#first;
  }

  get nextPosition(): number {
    return this.#first + this.#records.length;
  }

  get durablePosition(): number {
    return this.#durable;
  }

  append(...parts: readonly Uint8Array[]): Promise<number> {
    const refusal = this.#refusal();
    if (refusal !== undefined) return Promise.reject(refusal);
    const length = parts.reduce((sum, part) => sum + part.byteLength, 0);
    if (length > this.#maxRecordBytes) {
      return Promise.reject(logRecordTooLarge(this.#name, length, this.#maxRecordBytes));
    }
    const pending = this.#pendingBytes + length;
    if (pending > this.#maxPendingBytes && this.#pendingBytes > 0) {
      return Promise.reject(logFull(this.#name, 'wait for the disk', pending, this.#maxPendingBytes));
    }
    if (this.#bytes + length > this.#maxBytes) {
      return Promise.reject(logFull(this.#name, 'are held', this.#bytes + length, this.#maxBytes));
    }
    const data = new Uint8Array(length);
    let offset = 0;
    for (const part of parts) {
      data.set(part, offset);
      offset += part.byteLength;
    }
    const position = this.nextPosition;
    this.#records.push(data);
    this.#bytes += length;
    this.#pendingBytes += length;
    this.#appends += 1;
    return this.#openGroup().then(() => position);
  }

  async read(position: number): Promise<Uint8Array | null> {
    this.#check();
    if (position < this.#first || position >= this.#durable) return null;
    return this.#records[position - this.#first]?.slice() ?? null;
  }

  async *scan(position: number = this.#first): AsyncIterable<LogRecord> {
    this.#check();
    const end = this.#durable;
    for (let next = Math.max(position, this.#first); next < end; next++) {
      this.#check();
      // What was dropped while the caller was busy with an earlier record is passed over.
      if (next < this.#first) next = this.#first;
      const data = this.#records[next - this.#first];
      if (data === undefined || next >= end) return;
      yield { position: next, data: data.slice() };
    }
  }

  async dropBefore(position: number): Promise<void> {
    this.#check();
    const until = Math.min(position, this.#durable);
    if (!(until > this.#first)) return;
    const dropped = this.#records.slice(0, until - this.#first);
    this.#records = this.#records.slice(until - this.#first);
    this.#first = until;
    this.#bytes -= dropped.reduce((sum, record) => sum + record.byteLength, 0);
  }

  async barrier(): Promise<void> {
    this.#check();
    await (this.#group ?? this.#running);
  }

  statistics(): AppendLogStatistics {
    return {
      bytes: this.#bytes,
      segments: 1,
      appends: this.#appends,
      syncs: this.#syncs,
      pendingBytes: this.#pendingBytes,
    };
  }

  close(): Promise<void> {
    // Appends under way hear of a failure themselves; closing a failed log is not another failure.
    this.#closing ??= (this.#group ?? this.#running).catch(() => undefined).then(() => undefined);
    return this.#closing;
  }

  /** Appends of one turn, and those that come while a sync is under way, share the next group. */
  #openGroup(): Promise<void> {
    if (this.#group === undefined) {
      this.#group = this.#running.then(() => this.#commit());
      this.#running = this.#group;
    }
    return this.#group;
  }

  async #commit(): Promise<void> {
    this.#group = undefined;
    const end = this.nextPosition;
    const bytes = this.#pendingBytes;
    if (this.#failure !== undefined) throw this.#failure;
    this.#syncs += 1;
    try {
      await this.#sync();
    } catch (error) {
      this.#failure = logFailed(this.#name, 'sync', error);
      this.#onFailed?.(this.#failure);
      throw this.#failure;
    }
    this.#durable = end;
    this.#pendingBytes -= bytes;
  }

  #refusal(): DwError | undefined {
    if (this.#failure !== undefined) return this.#failure;
    return this.#closing === undefined ? undefined : logClosed(this.#name);
  }

  #check(): void {
    const refusal = this.#refusal();
    if (refusal !== undefined) throw refusal;
  }
}
