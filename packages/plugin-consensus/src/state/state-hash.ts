// A hash of the whole state that a write changes in well under a microsecond: the sum of a hash of each record.
//
// A sum does not depend on the order of its terms, so replicas agree whatever order they hold their records in, and a
// replaced record is taken out by subtracting. It finds replicas that differ by accident; it is no proof against
// somebody who makes collisions on purpose.

/**
 * Two independent 32-bit sums, signed or not: compare them by {@link sameHash}. Signed ones are what the engine keeps in a
 * field without a box of its own, so those that stay are signed.
 */
export interface HashPair {
  readonly a: number;
  readonly b: number;
}

/** The hash of nothing. */
export const ZERO_HASH: HashPair = { a: 0, b: 0 };

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/** Hash of a text, over its UTF-16 code units. */
export function hashText(text: string): number {
  let hash = FNV_OFFSET;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), FNV_PRIME);
  return hash | 0;
}

/** What the hash of a record takes of what kind it is and of its name. */
export function hashName(kind: number, name: string): number {
  return mix(hashText(name) ^ mix(kind + 1));
}

/** Hash of a record: what kind it is, its name, a number, and the hash of its content. */
export function hashRecord(kind: number, name: string, number: number, content: number): HashPair {
  const named = hashName(kind, name);
  const a = firstHalf(named, number, content);
  return { a, b: secondHalf(named, number, content, a) };
}

function firstHalf(named: number, number: number, content: number): number {
  const low = number >>> 0;
  const high = Math.floor(number / 0x1_0000_0000);
  return mix(named ^ mix(content ^ mix(low ^ mix(high + 0x9e3779b9))));
}

function secondHalf(named: number, number: number, content: number, first: number): number {
  const low = number >>> 0;
  return mix(mix(named + 0x85ebca6b) ^ mix(first ^ (content + 0xc2b2ae35)) ^ low);
}

/** Adds a term to a sum. */
export function addHash(sum: HashPair, term: HashPair): HashPair {
  return { a: (sum.a + term.a) >>> 0, b: (sum.b + term.b) >>> 0 };
}

/** Takes a term out of a sum. */
export function subtractHash(sum: HashPair, term: HashPair): HashPair {
  return { a: (sum.a - term.a) >>> 0, b: (sum.b - term.b) >>> 0 };
}

/** A sum that changes in place: for what changes with every entry. */
export class HashSum implements HashPair {
  a = 0;
  b = 0;

  add(term: HashPair): void {
    this.a = (this.a + term.a) | 0;
    this.b = (this.b + term.b) | 0;
  }

  subtract(term: HashPair): void {
    this.a = (this.a - term.a) | 0;
    this.b = (this.b - term.b) | 0;
  }

  /** Adds what {@link hashRecord} gives, without making it. `named` is the record's {@link hashName}. Hot path. */
  addRecord(named: number, number: number, content: number): void {
    const a = firstHalf(named, number, content);
    this.a = (this.a + a) | 0;
    this.b = (this.b + secondHalf(named, number, content, a)) | 0;
  }

  /** Takes out what {@link addRecord} added. */
  subtractRecord(named: number, number: number, content: number): void {
    const a = firstHalf(named, number, content);
    this.a = (this.a - a) | 0;
    this.b = (this.b - secondHalf(named, number, content, a)) | 0;
  }
}

/** Whether two sums are the same. */
export function sameHash(one: HashPair, other: HashPair): boolean {
  return ((one.a ^ other.a) | (one.b ^ other.b)) === 0;
}

/** A sum and the index it was reached at, as 16 hexadecimal digits. */
export function formatHash(sum: HashPair, appliedIndex: number): string {
  const low = appliedIndex >>> 0;
  const high = Math.floor(appliedIndex / 0x1_0000_0000);
  const a = mix(sum.a ^ mix(low));
  const b = mix(sum.b ^ mix(low + high + 1));
  return hex(a) + hex(b);
}

function hex(value: number): string {
  return (value >>> 0).toString(16).padStart(8, '0');
}

/** Spreads every bit of a 32-bit number over all of them (the finisher of MurmurHash3). Signed. */
export function mix(value: number): number {
  let hash = value | 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
