// What happened in a simulation, in order: a running hash always, and the text of each line when it is asked for. Two
// runs of one seed must agree in every line, so nothing goes in here that differs between processes.

import { crc32 } from '@datawarehouse/sdk';

const PRIME = 0x01000193;

/** The record of a run. */
export class Trace {
  private high = 0x811c9dc5;
  private low = 0x9e3779b9;
  private readonly labels = new Map<string, number>();
  private readonly float = new Float64Array(1);
  private readonly words = new Uint32Array(this.float.buffer);
  private lineCount = 0;

  /** @param write Takes each line as text; without it only the hash is kept. */
  constructor(private readonly write?: (line: string) => void) {}

  /** Whether lines are wanted as text. */
  get verbose(): boolean {
    return this.write !== undefined;
  }

  /** Lines so far. */
  get lines(): number {
    return this.lineCount;
  }

  /** The hash of all lines so far, 16 hexadecimal digits. */
  get hash(): string {
    return (this.high >>> 0).toString(16).padStart(8, '0') + (this.low >>> 0).toString(16).padStart(8, '0');
  }

  /** Adds a line: when, who, what, and up to two figures. Hot path. */
  add(at: number, who: string, what: string, first: number = 0, second: number = 0): void {
    this.lineCount++;
    this.float[0] = at;
    this.mix(this.words[0] as number);
    this.mix(this.words[1] as number);
    this.mix(this.label(who));
    this.mix(this.label(what));
    this.mix(first);
    this.mix(second);
    this.write?.(`${at.toFixed(3)} ${who} ${what} ${first} ${second}`);
  }

  /** Adds a line of free text. */
  note(at: number, who: string, text: string): void {
    this.add(at, who, text);
  }

  private mix(word: number): void {
    this.high = Math.imul(this.high ^ (word & 0xffff), PRIME);
    this.high = Math.imul(this.high ^ (word >>> 16), PRIME);
    this.low = (Math.imul(this.low ^ word, 0x85ebca6b) + 0x165667b1) | 0;
    this.low ^= this.low >>> 15;
  }

  private label(text: string): number {
    let hash = this.labels.get(text);
    if (hash === undefined) {
      hash = hashBytes(Buffer.from(text));
      if (this.labels.size < 4_096) this.labels.set(text, hash);
    }
    return hash;
  }
}

/** A hash of some bytes (FNV-1a, and a checksum made by the machine for more than a few). */
export function hashBytes(bytes: Uint8Array): number {
  if (bytes.length > 64) return crc32(bytes);
  let hash = 0x811c9dc5;
  for (let at = 0; at < bytes.length; at++) hash = Math.imul(hash ^ (bytes[at] as number), PRIME);
  return hash >>> 0;
}
