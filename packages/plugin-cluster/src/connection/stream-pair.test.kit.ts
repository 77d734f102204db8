// Two streams for tests, each the other's far end, without sockets: what one writes the other reads, when a test lets
// it. Each write is recorded, so that a test can count them.

import { Duplex } from 'node:stream';

/** One end. */
export class StreamEnd extends Duplex {
  /** Sizes of the writes, one entry for each time the stream was asked to write (several buffers if corked). */
  readonly writes: number[][] = [];
  /** While true, what is written is kept, and its callback waits: a peer that does not read. */
  stalled = false;
  other: StreamEnd | undefined;
  private held: (() => void)[] = [];

  override _read(): void {
    // The other end pushes.
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.record([chunk], done);
  }

  override _writev(chunks: { chunk: Buffer }[], done: () => void): void {
    this.record(
      chunks.map(({ chunk }) => chunk),
      done,
    );
  }

  override _final(done: () => void): void {
    this.other?.push(null);
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const other = this.other;
    if (other !== undefined && !other.destroyed) setImmediate(() => other.push(null));
    done(error);
  }

  /** Lets what was kept go on. */
  resumeWrites(): void {
    this.stalled = false;
    for (const go of this.held.splice(0)) go();
  }

  private record(buffers: Buffer[], done: () => void): void {
    this.writes.push(buffers.map((buffer) => buffer.length));
    const go = (): void => {
      // Copied: the writer may reuse its buffers once `done` was called.
      if (this.other?.destroyed === false) this.other.push(Buffer.concat(buffers));
      done();
    };
    if (this.stalled) this.held.push(go);
    else go();
  }
}

/** Two ends. */
export function streamPair(): [StreamEnd, StreamEnd] {
  const [a, b] = [new StreamEnd(), new StreamEnd()];
  a.other = b;
  b.other = a;
  return [a, b];
}
