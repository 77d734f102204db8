// Writes a node's log to a file that does not grow for ever: when it is full it becomes `<name>.1`, in place of the
// one before it.

import { createWriteStream, renameSync, statSync } from 'node:fs';
import type { WriteStream } from 'node:fs';
import { Writable } from 'node:stream';

/** Bytes of one file. There are two, so a node's log takes twice this at most. */
export const MAX_LOG_BYTES = 16 * 1024 * 1024;

const KEPT_TAIL = 8 * 1024;

function sizeOf(file: string): number {
  try {
    return statSync(file).size;
  } catch {
    // Not there yet.
    return 0;
  }
}

/** A stream into such a file. Who pipes into it is held back while the disk is slow, as with any stream. */
export class RotatingLog extends Writable {
  private file: WriteStream;
  private bytes: number;
  private recent = '';

  constructor(
    private readonly path: string,
    private readonly maxBytes: number = MAX_LOG_BYTES,
  ) {
    super();
    this.bytes = sizeOf(path);
    this.file = this.openFile();
  }

  /** The last lines that were written, for a message. */
  tail(lines: number): string {
    return this.recent.trimEnd().split('\n').slice(-lines).join('\n');
  }

  override _write(chunk: Buffer, _encoding: string, callback: (error?: Error | null) => void): void {
    this.recent = (this.recent + chunk.toString('utf8')).slice(-KEPT_TAIL);
    if (this.bytes > 0 && this.bytes + chunk.length > this.maxBytes) {
      this.file.end(() => {
        this.rotate();
        this.append(chunk, callback);
      });
      return;
    }
    this.append(chunk, callback);
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.file.end(callback);
  }

  private append(chunk: Buffer, callback: (error?: Error | null) => void): void {
    this.bytes += chunk.length;
    // A log that cannot be written (a full disk) is no reason to stop the cluster: the line is lost, the tail is kept.
    this.file.write(chunk, () => callback());
  }

  private rotate(): void {
    try {
      renameSync(this.path, `${this.path}.1`);
      this.bytes = 0;
    } catch {
      // Cannot be moved: go on in the same file for another round rather than try at each line.
      this.bytes = 0;
    }
    this.file = this.openFile();
  }

  private openFile(): WriteStream {
    const file = createWriteStream(this.path, { flags: 'a', mode: 0o600 });
    file.on('error', () => file.destroy());
    return file;
  }
}
