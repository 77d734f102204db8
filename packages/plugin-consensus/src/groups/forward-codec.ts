// Requests that one node passes on to another on behalf of a client, and their answers, as bytes. Many travel in one
// frame: all that a turn has for one peer.

import type { DwErrorOptions } from '@datawarehouse/sdk';
import { DwError, isDwError } from '@datawarehouse/sdk';
import { ByteReader } from '../codec/byte-reader.js';
import { ByteWriter } from '../codec/byte-writer.js';
import { malformed } from '../errors.js';

/** Channel of forwarded requests and their answers. */
export const FORWARD_CHANNEL = 'dw.kv';

/** What a forwarded request asks for. */
export type ForwardOperation =
  | 'propose-command'
  | 'propose-opaque'
  | 'get'
  | 'list'
  | 'status'
  | 'transfer'
  | 'snapshot'
  | 'propose-session-command'
  | 'propose-keyed-command'
  | 'propose-open-session'
  | 'propose-close-session'
  | 'query';

const OPERATIONS: readonly ForwardOperation[] = [
  'propose-command',
  'propose-opaque',
  'get',
  'list',
  'status',
  'transfer',
  'snapshot',
  'propose-session-command',
  'propose-keyed-command',
  'propose-open-session',
  'propose-close-session',
  'query',
];

const WHAT = 'a frame of forwarded requests';
const REQUESTS = 1;
const REPLIES = 2;
const MAY_RELAY = 0x80;
const MAX_BODY_BYTES = 64 * 1024 * 1_024;
/** Bodies at least this large are sent as they lie. */
const COPY_BELOW_BYTES = 8 * 1_024;

/** A forwarded request. */
export interface ForwardRequest {
  readonly id: number;
  readonly operation: ForwardOperation;
  readonly groupId: string;
  /** Ms that the client still waits. */
  readonly remainingMs: number;
  /** Whether the node that is asked may pass a write on to the leader, which the asking node cannot reach. */
  readonly mayRelay: boolean;
  readonly body: Uint8Array;
}

/** The answer to a request: its body, or the error. */
export interface ForwardReply {
  readonly id: number;
  readonly ok: boolean;
  readonly body: Uint8Array;
}

/** Collects requests or replies for one peer into the parts of one frame. */
export class ForwardFrame {
  private readonly parts: Uint8Array[] = [];
  private writer = new ByteWriter(1_024);
  private partBytes = 0;

  constructor(kind: 'requests' | 'replies') {
    this.writer.u8(kind === 'requests' ? REQUESTS : REPLIES);
  }

  /** Bytes so far. */
  get bytes(): number {
    return this.partBytes + this.writer.length;
  }

  addRequest(request: ForwardRequest): void {
    this.writer.varint(request.id);
    this.writer.u8(OPERATIONS.indexOf(request.operation) | (request.mayRelay ? MAY_RELAY : 0));
    this.writer.text(request.groupId);
    this.writer.varint(Math.max(0, Math.ceil(request.remainingMs)));
    this.addBody(request.body);
  }

  addReply(reply: ForwardReply): void {
    this.writer.varint(reply.id);
    this.writer.u8(reply.ok ? 1 : 0);
    this.addBody(reply.body);
  }

  /** The frame. Add nothing after it. */
  finish(): readonly Uint8Array[] {
    if (this.writer.length > 0) this.parts.push(this.writer.finish());
    return this.parts;
  }

  private addBody(body: Uint8Array): void {
    this.writer.varint(body.length);
    if (body.length < COPY_BELOW_BYTES) {
      this.writer.raw(body);
      return;
    }
    this.parts.push(this.writer.finish(), body);
    this.partBytes += this.writer.length + body.length;
    this.writer = new ByteWriter(512);
  }
}

/** Whether a frame says that it holds requests. */
export function holdsRequests(bytes: Uint8Array): boolean {
  return bytes[0] === REQUESTS;
}

/** A frame's requests or replies. Bodies are views of `bytes`. @throws DwError `frame-malformed`. */
export function decodeForwardFrame(
  bytes: Uint8Array,
):
  | { readonly kind: 'requests'; readonly requests: ForwardRequest[] }
  | { readonly kind: 'replies'; readonly replies: ForwardReply[] } {
  const reader = new ByteReader(bytes, WHAT);
  const kind = reader.u8();
  if (kind === REQUESTS) {
    const requests: ForwardRequest[] = [];
    while (reader.remaining > 0) requests.push(readRequest(reader));
    return { kind: 'requests', requests };
  }
  if (kind !== REPLIES) throw malformed(WHAT, `there is no kind ${kind}`);
  const replies: ForwardReply[] = [];
  while (reader.remaining > 0) {
    const id = reader.varint();
    const ok = reader.u8() === 1;
    replies.push({ id, ok, body: reader.blob(MAX_BODY_BYTES) });
  }
  return { kind: 'replies', replies };
}

function readRequest(reader: ByteReader): ForwardRequest {
  const id = reader.varint();
  const code = reader.u8();
  const operation = OPERATIONS[code & ~MAY_RELAY];
  if (operation === undefined) throw malformed(WHAT, 'there is no such operation');
  const groupId = reader.text(256);
  return {
    id,
    operation,
    groupId,
    remainingMs: reader.varint(),
    mayRelay: (code & MAY_RELAY) !== 0,
    body: reader.blob(MAX_BODY_BYTES),
  };
}

/** An error as bytes. What is no DwError is named without its details. */
export function encodeError(thrown: unknown): Uint8Array {
  const { code, message, status, retryable, retryAfterMs, hint, details } = isDwError(thrown)
    ? thrown
    : new DwError({ code: 'internal-error', message: 'The peer failed to handle the request', status: 500 });
  return Buffer.from(JSON.stringify({ code, message, status, retryable, retryAfterMs, hint, details }));
}

/** Bytes as an error. Never throws: bytes that are no error are one themselves. */
export function decodeError(bytes: Uint8Array): DwError {
  try {
    const options = JSON.parse(Buffer.from(bytes).toString()) as Partial<DwErrorOptions>;
    if (typeof options.code === 'string' && typeof options.message === 'string') {
      return new DwError(options as DwErrorOptions);
    }
    return malformed('an error from a peer', 'it has no code');
  } catch {
    return malformed('an error from a peer', 'it is not JSON');
  }
}
