// An append log in memory for crash tests: a crash leaves what was synced and, of what was not, any first part. Unlike
// the SDK's MemoryAppendLog it can be opened again where it was, positions and all.

import type { AppendLogStatistics, IAppendLog, LogRecord } from '@datawarehouse/sdk';

/** The records that survive, and where they begin. */
export interface CrashLogImage {
  readonly first: number;
  readonly records: readonly Uint8Array[];
}

/** An {@link IAppendLog} that can be crashed. */
export class CrashLog implements IAppendLog {
  #first: number;
  #records: Uint8Array[];
  #durable: number;
  #bytes = 0;
  #group: Promise<void> | undefined;
  #running: Promise<void> = Promise.resolve();
  #crashed = false;

  /** @param sync Stands for the disk; records are durable when it resolves. */
  constructor(
    image: CrashLogImage = { first: 1, records: [] },
    private readonly sync: () => Promise<void> = () => Promise.resolve(),
  ) {
    this.#first = image.first;
    this.#records = [...image.records];
    this.#durable = image.first + image.records.length;
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

  /** What the disk holds: all that is durable, and `more` records that are not yet. Nothing changes afterwards. */
  crash(more = 0): CrashLogImage {
    this.#crashed = true;
    return { first: this.#first, records: this.#records.slice(0, this.#durable - this.#first + more) };
  }

  async append(...parts: readonly Uint8Array[]): Promise<number> {
    const position = this.nextPosition;
    this.#records.push(Buffer.concat(parts));
    this.#bytes += this.#records.at(-1)?.length ?? 0;
    this.#group ??= this.#running = this.#running.then(async () => {
      this.#group = undefined;
      const end = this.nextPosition;
      await this.sync();
      if (this.#crashed) await new Promise(() => undefined);
      this.#durable = end;
    });
    await this.#group;
    return position;
  }

  async read(position: number): Promise<Uint8Array | null> {
    return this.#records[position - this.#first] ?? null;
  }

  async *scan(position = this.#first): AsyncIterable<LogRecord> {
    for (let at = Math.max(position, this.#first); at < this.#durable; at++) {
      yield { position: at, data: this.#records[at - this.#first] as Uint8Array };
    }
  }

  async dropBefore(position: number): Promise<void> {
    if (this.#crashed || position <= this.#first) return;
    this.#records.splice(0, position - this.#first);
    this.#first = position;
  }

  async barrier(): Promise<void> {
    await (this.#group ?? this.#running);
  }

  statistics(): AppendLogStatistics {
    return { bytes: this.#bytes, segments: 1, appends: 0, syncs: 0, pendingBytes: 0 };
  }

  async close(): Promise<void> {
    await this.barrier();
  }
}
