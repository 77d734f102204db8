// The requests of the client protocol as bytes. A frame of requests carries many; each has an id of the client's choice
// under which its answers come, and says how long its body is, so that a node can refuse an operation that it does not
// know and go on with the next.

import { ByteReader } from '../codec/byte-reader.js';
import type { ByteWriter } from '../codec/byte-writer.js';
import { FrameBuilder, protocolViolated } from './frame.js';

/**
 * How a read is made sure to be the latest. `linearizable`: a majority confirms that the leader still leads.
 * `lease`: the leader answers at once while it holds a lease by its clock, else as `linearizable`. `stale`: what the
 * node asked has, however old.
 */
export type ReadMode = 'linearizable' | 'lease' | 'stale';

/** Under which condition a write takes place. */
export type WriteCondition = number | 'absent' | undefined;

/** Ties the tries of one write together, so that it is applied once. */
export interface SessionStamp {
  /** The session, as the group gave it. */
  readonly id: number;
  /** Number of the write in its session, from 1. */
  readonly sequence: number;
  /** Every write of the session with a lower number has its answer and is not asked for again. */
  readonly lowestOpen: number;
}

interface WriteFields {
  readonly key: string;
  readonly condition: WriteCondition;
  readonly session: SessionStamp | undefined;
}

/** What a client asks for. */
export type ClientOperation =
  | { readonly op: 'get'; readonly key: string; readonly mode: ReadMode }
  | ({ readonly op: 'put'; readonly value: Uint8Array } & WriteFields)
  | ({ readonly op: 'delete' } & WriteFields)
  | {
      readonly op: 'list';
      readonly group: string;
      readonly mode: ReadMode;
      readonly prefix: string;
      readonly after: string | undefined;
      readonly limit: number;
    }
  /** Changes of keys with the prefix after the entry `after`; from now on, when it is undefined. */
  | {
      readonly op: 'watch';
      readonly group: string;
      readonly prefix: string;
      readonly after: number | undefined;
    }
  /** Ends a watch or gives a request up. It has no answer of its own. */
  | { readonly op: 'cancel'; readonly target: number }
  | { readonly op: 'open-session'; readonly group: string }
  | { readonly op: 'close-session'; readonly group: string; readonly session: number };

/** A request. */
export interface ClientRequest {
  /** Unique among the requests of the connection that have no last answer yet. */
  readonly id: number;
  /** How long the node tries, ms; 0: as long as it does by itself. */
  readonly timeoutMs: number;
  /** Whether the node passes the request on when it does not lead the group. Else it answers `not-leader`. */
  readonly relay: boolean;
  /** Undefined: an operation that this side does not know. */
  readonly operation: ClientOperation | undefined;
}

/** Longest key in UTF-8 bytes. */
export const MAX_CLIENT_KEY_BYTES = 1_024;
const MAX_GROUP_ID_BYTES = 256;

const OPERATION_CODES = {
  get: 1,
  put: 2,
  delete: 3,
  list: 4,
  watch: 5,
  cancel: 6,
  'open-session': 7,
  'close-session': 8,
} as const;
const MODES: readonly ReadMode[] = ['linearizable', 'lease', 'stale'];

const RELAY = 1;
const IF_VERSION = 1;
const IF_ABSENT = 2;
const IN_SESSION = 4;

/** Collects requests into one frame. */
export class RequestFrame extends FrameBuilder {
  /** Requests in the frame. */
  count = 0;

  /** @param capacity Bytes to start with. */
  constructor(capacity?: number) {
    super('requests', capacity);
  }

  /** Adds a request. Hot path. */
  add(id: number, timeoutMs: number, relay: boolean, operation: ClientOperation): void {
    const { writer } = this;
    writer.varint(id);
    writer.u8(OPERATION_CODES[operation.op]);
    writer.u8(relay ? RELAY : 0);
    writer.varint(timeoutMs);
    const at = writer.length;
    writer.u32(0);
    writeOperation(writer, operation);
    writer.u32At(at, writer.length - at - 4);
    this.count++;
  }
}

function writeOperation(writer: ByteWriter, operation: ClientOperation): void {
  switch (operation.op) {
    case 'get':
      writer.u8(MODES.indexOf(operation.mode));
      writer.text(operation.key);
      return;
    case 'put':
      writeFields(writer, operation);
      writer.raw(operation.value);
      return;
    case 'delete':
      writeFields(writer, operation);
      return;
    case 'list':
      writer.text(operation.group);
      writer.u8(MODES.indexOf(operation.mode));
      writer.text(operation.prefix);
      writer.u8(operation.after === undefined ? 0 : 1);
      writer.text(operation.after ?? '');
      writer.varint(operation.limit);
      return;
    case 'watch':
      writer.text(operation.group);
      writer.text(operation.prefix);
      writer.u8(operation.after === undefined ? 0 : 1);
      writer.varint(operation.after ?? 0);
      return;
    case 'cancel':
      writer.varint(operation.target);
      return;
    case 'open-session':
      writer.text(operation.group);
      return;
    case 'close-session':
      writer.text(operation.group);
      writer.varint(operation.session);
  }
}

function writeFields(writer: ByteWriter, { key, condition, session }: WriteFields): void {
  writer.u8(
    (typeof condition === 'number' ? IF_VERSION : 0) |
      (condition === 'absent' ? IF_ABSENT : 0) |
      (session === undefined ? 0 : IN_SESSION),
  );
  writer.text(key);
  if (typeof condition === 'number') writer.varint(condition);
  if (session === undefined) return;
  writer.varint(session.id);
  writer.varint(session.sequence);
  writer.varint(session.lowestOpen);
}

/**
 * The requests of a frame, one after another. Values are views of `content`.
 * @throws DwError `client-protocol-violated`, `frame-malformed`: what came before was a request all the same.
 */
export function readRequests(content: Buffer, onRequest: (request: ClientRequest) => void): void {
  const reader = new ByteReader(content, 'a frame of requests');
  while (reader.remaining > 0) {
    const id = reader.varint();
    const code = reader.u8();
    const flags = reader.u8();
    const timeoutMs = reader.varint();
    const body = new ByteReader(reader.raw(reader.u32()), 'a request');
    onRequest({ id, timeoutMs, relay: (flags & RELAY) !== 0, operation: readOperation(code, body) });
  }
}

function readOperation(code: number, body: ByteReader): ClientOperation | undefined {
  const read = READERS.get(code);
  if (read === undefined) return undefined;
  const operation = read(body);
  body.end();
  return operation;
}

const READERS = new Map<number, (body: ByteReader) => ClientOperation>([
  [OPERATION_CODES.get, (body) => ({ op: 'get', mode: readMode(body), key: readKey(body) })],
  [
    OPERATION_CODES.put,
    (body) => {
      const { key, condition, session } = readFields(body);
      return { op: 'put', key, condition, session, value: body.rest() };
    },
  ],
  [OPERATION_CODES.delete, (body) => ({ op: 'delete', ...readFields(body) })],
  [
    OPERATION_CODES.list,
    (body) => {
      const group = body.text(MAX_GROUP_ID_BYTES);
      const mode = readMode(body);
      const prefix = readText(body);
      const hasAfter = body.u8() === 1;
      const after = readText(body);
      return { op: 'list', group, mode, prefix, after: hasAfter ? after : undefined, limit: body.varint() };
    },
  ],
  [
    OPERATION_CODES.watch,
    (body) => {
      const group = body.text(MAX_GROUP_ID_BYTES);
      const prefix = readText(body);
      const hasAfter = body.u8() === 1;
      const after = body.varint();
      return { op: 'watch', group, prefix, after: hasAfter ? after : undefined };
    },
  ],
  [OPERATION_CODES.cancel, (body) => ({ op: 'cancel', target: body.varint() })],
  [OPERATION_CODES['open-session'], (body) => ({ op: 'open-session', group: body.text(MAX_GROUP_ID_BYTES) })],
  [
    OPERATION_CODES['close-session'],
    (body) => ({ op: 'close-session', group: body.text(MAX_GROUP_ID_BYTES), session: body.varint() }),
  ],
]);

function readMode(body: ByteReader): ReadMode {
  const mode = MODES[body.u8()];
  if (mode === undefined) throw protocolViolated('there is no such way to read');
  return mode;
}

function readFields(body: ByteReader): WriteFields {
  const flags = body.u8();
  const key = readKey(body);
  const condition = flags & IF_VERSION ? body.varint() : flags & IF_ABSENT ? 'absent' : undefined;
  const session =
    flags & IN_SESSION
      ? { id: body.varint(), sequence: body.varint(), lowestOpen: body.varint() }
      : undefined;
  return { key, condition, session };
}

function readKey(body: ByteReader): string {
  const key = readText(body);
  if (key.length === 0) throw protocolViolated('a key is empty');
  return key;
}

/** A text that is what its bytes say: bytes that are no UTF-8 would else become the name of another key. */
function readText(body: ByteReader): string {
  const bytes = body.blob(MAX_CLIENT_KEY_BYTES);
  const text = bytes.toString('utf8');
  if (text.includes('\uFFFD') && !Buffer.from(text).equals(bytes))
    throw protocolViolated('a key is no UTF-8');
  return text;
}
