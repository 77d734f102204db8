// The answers of the client protocol as bytes. A frame of answers carries many, in any order; each names its request.

import { ByteReader } from '../codec/byte-reader.js';
import type { ByteWriter } from '../codec/byte-writer.js';
import { DwError } from '../errors/dw-error.js';
import { FrameBuilder, protocolViolated } from './frame.js';

/** `event`: one of several answers, with more to come. The others are the last answer to their request. */
export type AnswerStatus = 'ok' | 'error' | 'event';

/** An answer; what its body holds depends on the request. */
export interface ClientAnswer {
  readonly id: number;
  readonly status: AnswerStatus;
  readonly body: Buffer;
}

const STATUSES: readonly AnswerStatus[] = ['ok', 'error', 'event'];
const MAX_KEY_BYTES = 1_024;
const MAX_VALUE_BYTES = 0x7fff_ffff;

/** Collects answers into one frame. */
export class AnswerFrame extends FrameBuilder {
  /** @param capacity Bytes to start with. */
  constructor(capacity?: number) {
    super('answers', capacity);
  }

  /** Adds an answer whose body `write` writes. */
  add(id: number, status: AnswerStatus, write: (writer: ByteWriter) => void): void {
    const { writer } = this;
    const at = this.begin(id, status);
    write(writer);
    this.end(at);
  }

  /** Adds the answer to a put. Hot path. */
  written(id: number, version: number): void {
    const at = this.begin(id, 'ok');
    this.writer.varint(version);
    this.end(at);
  }

  /** Adds the answer to a get. Hot path. */
  value(id: number, version: number, value: Uint8Array): void {
    const at = this.begin(id, 'ok');
    this.writer.varint(version);
    this.writer.raw(value);
    this.end(at);
  }

  /** Adds the answer to a get that found nothing. */
  nothing(id: number): void {
    this.end(this.begin(id, 'ok'));
  }

  private begin(id: number, status: AnswerStatus): number {
    const { writer } = this;
    writer.varint(id);
    writer.u8(STATUSES.indexOf(status));
    const at = writer.length;
    writer.u32(0);
    return at;
  }

  private end(at: number): void {
    this.writer.u32At(at, this.writer.length - at - 4);
  }
}

/** The answers of a frame, one after another; bodies are views of `content`. @throws DwError `frame-malformed`, `client-protocol-violated`. */
export function readAnswers(content: Buffer, onAnswer: (answer: ClientAnswer) => void): void {
  const reader = new ByteReader(content, 'a frame of answers');
  while (reader.remaining > 0) {
    const id = reader.varint();
    const status = STATUSES[reader.u8()];
    if (status === undefined) throw protocolViolated('an answer has no known status');
    onAnswer({ id, status, body: reader.raw(reader.u32()) });
  }
}

/** What a get found. */
export interface FoundValue {
  readonly version: number;
  /** A view of the answer. */
  readonly value: Buffer;
}

/** The body of an answer to a get; undefined when there is no such key. */
export function readFound(body: Buffer): FoundValue | undefined {
  if (body.length === 0) return undefined;
  const reader = new ByteReader(body, 'an answer to a get');
  return { version: reader.varint(), value: reader.rest() };
}

/** The body of an answer to a put, and of one that opens a session: a number. */
export function readNumber(body: Buffer): number {
  return new ByteReader(body, 'an answer').varint();
}

/** Writes the body of an answer to a delete. */
export function writeDeleted(writer: ByteWriter, version: number, existed: boolean): void {
  writer.varint(version);
  writer.u8(existed ? 1 : 0);
}

/** The body of an answer to a delete. */
export function readDeleted(body: Buffer): { readonly version: number; readonly existed: boolean } {
  const reader = new ByteReader(body, 'an answer to a delete');
  return { version: reader.varint(), existed: reader.u8() === 1 };
}

/** A key and its version. */
export interface ListedKey {
  readonly key: string;
  readonly version: number;
}

/** Writes the body of an answer to a list. */
export function writeListed(writer: ByteWriter, items: readonly ListedKey[]): void {
  writer.varint(items.length);
  for (const { key, version } of items) {
    writer.text(key);
    writer.varint(version);
  }
}

/** The body of an answer to a list. */
export function readListed(body: Buffer): ListedKey[] {
  const reader = new ByteReader(body, 'an answer to a list');
  const count = reader.varint();
  if (count * 2 > reader.remaining) throw protocolViolated(`a list claims ${count} keys`);
  return Array.from({ length: count }, () => ({ key: reader.text(MAX_KEY_BYTES), version: reader.varint() }));
}

/** A change that a watch tells. */
export type WatchedChange =
  | { readonly kind: 'put'; readonly key: string; readonly version: number; readonly value: Uint8Array }
  | { readonly kind: 'delete'; readonly key: string; readonly version: number };

/** Changes in the order of the group's log, all of them up to `through`: the place to go on from. */
export interface WatchedChanges {
  readonly through: number;
  readonly changes: readonly WatchedChange[];
}

/** Writes the body of an event of a watch. */
export function writeChanges(writer: ByteWriter, { through, changes }: WatchedChanges): void {
  writer.varint(through);
  writer.varint(changes.length);
  for (const change of changes) {
    writer.u8(change.kind === 'put' ? 1 : 0);
    writer.text(change.key);
    writer.varint(change.version);
    if (change.kind === 'put') writer.blob(change.value);
  }
}

/** The body of an event of a watch; values are views of it. */
export function readChanges(body: Buffer): WatchedChanges {
  const reader = new ByteReader(body, 'an event of a watch');
  const through = reader.varint();
  const count = reader.varint();
  if (count * 3 > reader.remaining) throw protocolViolated(`an event claims ${count} changes`);
  const changes = Array.from({ length: count }, (): WatchedChange => {
    const isPut = reader.u8() === 1;
    const key = reader.text(MAX_KEY_BYTES);
    const version = reader.varint();
    if (!isPut) return { kind: 'delete', key, version };
    return { kind: 'put', key, version, value: reader.blob(MAX_VALUE_BYTES) };
  });
  return { through, changes };
}

/** Writes the body of an answer that refuses. */
export function writeError(writer: ByteWriter, error: DwError): void {
  const { code, message, retryable, retryAfterMs, hint, details, status } = error;
  writer.raw(Buffer.from(JSON.stringify({ code, message, retryable, retryAfterMs, hint, details, status })));
}

/** The body of an answer that refuses. @throws DwError `client-protocol-violated`. */
export function readError(body: Buffer): DwError {
  let fields: Readonly<Record<string, unknown>> | null;
  try {
    fields = JSON.parse(body.toString('utf8')) as Readonly<Record<string, unknown>> | null;
  } catch {
    throw protocolViolated('a refusal is not JSON');
  }
  const { code, message, retryable, retryAfterMs, hint, details } = fields ?? {};
  if (typeof code !== 'string' || typeof message !== 'string')
    throw protocolViolated('a refusal has no code');
  return new DwError({
    code,
    message,
    retryable: retryable === true,
    ...(typeof retryAfterMs === 'number' ? { retryAfterMs } : {}),
    ...(typeof hint === 'string' ? { hint } : {}),
    ...(typeof details === 'object' && details !== null
      ? { details: details as Readonly<Record<string, unknown>> }
      : {}),
  });
}
