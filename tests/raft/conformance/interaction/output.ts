// What the commands print. At the level `none` nothing is printed; parts can be set in.

/** Upstream's levels. What our harness prints depends only on whether it is the last. */
export const logLevels = ['DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL', 'NONE'] as const;

/** A level of output. */
export type LogLevel = (typeof logLevels)[number];

/** Collects the output of one directive after the other. */
export class Output {
  level: LogLevel = 'DEBUG';
  #text = '';

  get quiet(): boolean {
    return this.level === 'NONE';
  }

  write(text: string): void {
    if (!this.quiet) this.#text += text;
  }

  writeLine(text: string): void {
    this.write(`${text}\n`);
  }

  /** Sets in, by two spaces, what is printed meanwhile. */
  async indented(print: () => void | Promise<void>): Promise<void> {
    const before = this.#text;
    this.#text = '';
    try {
      await print();
    } finally {
      const lines = this.#text.split('\n');
      if (lines.at(-1) === '') lines.pop();
      this.#text = before + lines.map((line) => `  ${line}\n`).join('');
    }
  }

  /** Takes out all that was printed. */
  take(): string {
    const text = this.#text;
    this.#text = '';
    return text;
  }
}
