// How far the background writer is behind the journal, and the writes that wait for it.

interface Waiter {
  readonly done: () => void;
  readonly failed: (error: Error) => void;
}

/** Bytes of changes that are durable and not in segment files yet. */
export class WriterLag {
  bytes = 0;
  #waiters: Waiter[] = [];

  /** Resolves when the writer has got on; the caller looks again whether it has got far enough. */
  progress(): Promise<void> {
    return new Promise((done, failed) => {
      this.#waiters.push({ done, failed });
    });
  }

  /** The writer has got on. */
  noteProgress(): void {
    for (const { done } of this.#take()) done();
  }

  /** The writer gets nowhere any more. */
  giveUp(error: Error): void {
    for (const { failed } of this.#take()) failed(error);
  }

  #take(): readonly Waiter[] {
    const waiters = this.#waiters;
    this.#waiters = [];
    return waiters;
  }
}
