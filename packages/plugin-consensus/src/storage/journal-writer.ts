// Hands records to the node's journal in order, never more bytes at once than the log takes, so that the log's own
// bound is not met in the middle of a turn that reads already see.

import type { IAppendLog } from '@datawarehouse/sdk';

/** Bytes given to the log and not durable yet. */
const MAX_IN_FLIGHT_BYTES = 16 * 1024 * 1024;

interface Waiting {
  readonly parts: readonly Uint8Array[];
  readonly bytes: number;
  readonly done: (position: Promise<number>) => void;
}

/** The way into the journal. */
export class JournalWriter {
  readonly #waiting: Waiting[] = [];
  #inFlight = 0;
  #waitingBytes = 0;

  constructor(private readonly log: IAppendLog) {}

  /** Bytes that are not durable yet. */
  get pendingBytes(): number {
    return this.#inFlight + this.#waitingBytes;
  }

  /**
   * Appends a record after all given before.
   * @returns its position once it is durable.
   * @throws what the log throws: nothing of this record or a later one is to be taken as written.
   */
  append(parts: readonly Uint8Array[]): Promise<number> {
    let bytes = 0;
    for (const part of parts) bytes += part.byteLength;
    if (
      this.#waiting.length === 0 &&
      (this.#inFlight === 0 || this.#inFlight + bytes <= MAX_IN_FLIGHT_BYTES)
    ) {
      return this.#start(parts, bytes);
    }
    return new Promise((done) => {
      this.#waiting.push({ parts, bytes, done });
      this.#waitingBytes += bytes;
    });
  }

  #start(parts: readonly Uint8Array[], bytes: number): Promise<number> {
    this.#inFlight += bytes;
    const ended = (): void => {
      this.#inFlight -= bytes;
      this.#startWaiting();
    };
    const written = this.log.append(...parts);
    // Before whoever asked for it hears of it. A failure is theirs to hear.
    written.then(ended, ended);
    return written;
  }

  #startWaiting(): void {
    for (;;) {
      const next = this.#waiting[0];
      if (next === undefined) return;
      if (this.#inFlight > 0 && this.#inFlight + next.bytes > MAX_IN_FLIGHT_BYTES) return;
      this.#waiting.shift();
      this.#waitingBytes -= next.bytes;
      next.done(this.#start(next.parts, next.bytes));
    }
  }
}
