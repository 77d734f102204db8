// Chunks that the engine reads from a snapshot and a state machine pulls, with the engine held back in between: at most
// one chunk waits.

/** A one-place queue between a pushing and a pulling side. */
export class ChunkQueue implements AsyncIterable<Uint8Array> {
  private chunk: Uint8Array | undefined;
  private ended = false;
  private error: unknown;
  private failed = false;
  private wake: (() => void)[] = [];

  /** Resolves when the chunk was pulled. @throws what {@link fail} was given. */
  async push(chunk: Uint8Array): Promise<void> {
    this.chunk = chunk;
    this.signal();
    while (this.chunk === chunk && !this.failed) await this.changed();
    if (this.failed) throw this.error;
  }

  /** No more chunks come. */
  end(): void {
    this.ended = true;
    this.signal();
  }

  /** Both sides get this error. */
  fail(error: unknown): void {
    if (this.failed) return;
    this.failed = true;
    this.error = error;
    this.signal();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (;;) {
      if (this.failed) throw this.error;
      const { chunk } = this;
      if (chunk !== undefined) {
        this.chunk = undefined;
        this.signal();
        yield chunk;
      } else if (this.ended) {
        return;
      } else {
        await this.changed();
      }
    }
  }

  private changed(): Promise<void> {
    return new Promise((resolve) => this.wake.push(resolve));
  }

  private signal(): void {
    for (const wake of this.wake.splice(0)) wake();
  }
}
