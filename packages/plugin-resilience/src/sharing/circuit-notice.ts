// What nodes tell each other of their circuit breakers, as bytes. Everything that is read is checked: texts have a
// longest length, numbers a largest value, and what is left over is an error.

import { ByteReader, ByteWriter } from '@datawarehouse/sdk';
import { circuitNoticeMalformed } from '../errors.js';
import { MAX_BREAK_MS } from '../strategies/circuit-breaker/circuit-breaker-options.js';

/** Which breaker. */
export interface BreakerId {
  readonly policy: string;
  /** Name of the breaker within the policy. */
  readonly strategy: string;
  readonly key: string;
}

/** A breaker of the sender has opened or closed, or is open. */
export interface CircuitNotice extends BreakerId {
  readonly state: 'open' | 'closed';
  /** For this breaker; of two notices the one with the higher stamp is the later one. */
  readonly lamport: number;
  /** Milliseconds that it still stays open; 0 when it closed. */
  readonly breakMs: number;
  readonly reason: string;
}

/** One message between two nodes. */
export type CircuitMessage =
  /** Sent when two nodes have connected, before anything else. */
  | {
      readonly kind: 'hello';
      /** The highest stamp that the sender knows of. */
      readonly highest: number;
    }
  | { readonly kind: 'notices'; readonly notices: readonly CircuitNotice[] };

/** Notices in one message at most. */
export const MAX_NOTICES = 256;
/**
 * Highest stamp. At a thousand changes a second of one breaker it is a hundred thousand years away, and peers cannot push
 * a node there: see stamp-allowance.ts.
 */
export const MAX_LAMPORT = 2 ** 52;

const VERSION = 1;
const WHAT = 'a notice of circuit breakers';
const MAX_NAME_BYTES = 128;
const MAX_STRATEGY_BYTES = 64 * 4;
const MAX_KEY_CHARACTERS = 512;
const MAX_KEY_BYTES = MAX_KEY_CHARACTERS * 4;
const MAX_REASON_CHARACTERS = 200;
const MAX_REASON_BYTES = MAX_REASON_CHARACTERS * 4;
/** What would move the cursor, colour or name of an operator's terminal. */
// oxlint-disable-next-line no-control-regex -- they are what is looked for
const CONTROLS = /[\u0000-\u001f\u007f-\u009f]/g;

/** Writes a message. Reasons that are too long are cut. */
export function encodeCircuitMessage(message: CircuitMessage): Buffer {
  const writer = new ByteWriter();
  writer.u8(VERSION);
  if (message.kind === 'hello') {
    writer.u8(0);
    writer.varint(message.highest);
    return writer.finish();
  }
  writer.u8(1);
  writer.varint(message.notices.length);
  for (const notice of message.notices) {
    writer.text(notice.policy);
    writer.text(notice.strategy);
    writer.text(notice.key);
    writer.u8(notice.state === 'open' ? 1 : 0);
    writer.varint(notice.lamport);
    writer.varint(Math.ceil(notice.breakMs));
    writer.text(plainReason(notice.reason));
  }
  return writer.finish();
}

/** Reads a message. @throws DwError `frame-malformed`, `circuit-notice-malformed`. */
export function decodeCircuitMessage(bytes: Uint8Array): CircuitMessage {
  const reader = new ByteReader(bytes, WHAT);
  const version = reader.u8();
  if (version !== VERSION) throw circuitNoticeMalformed(`its version is ${version}; ${VERSION} is known`);
  const kind = reader.u8();
  if (kind > 1) throw circuitNoticeMalformed(`its kind is ${kind}`);
  if (kind === 0) {
    const highest = stampOf(reader, 0);
    reader.end();
    return { kind: 'hello', highest };
  }
  const count = reader.varint();
  if (count > MAX_NOTICES) {
    throw circuitNoticeMalformed(`it holds ${count} notices where ${MAX_NOTICES} are the most`);
  }
  const notices = Array.from({ length: count }, () => readNotice(reader));
  reader.end();
  return { kind: 'notices', notices };
}

function readNotice(reader: ByteReader): CircuitNotice {
  const policy = reader.text(MAX_NAME_BYTES);
  const strategy = reader.text(MAX_STRATEGY_BYTES);
  const key = reader.text(MAX_KEY_BYTES);
  if (policy === '' || strategy === '') throw circuitNoticeMalformed('it names no policy or no breaker');
  if (key.length > MAX_KEY_CHARACTERS) throw circuitNoticeMalformed('its key is too long');
  const state = reader.u8();
  if (state > 1) throw circuitNoticeMalformed(`its state is ${state}`);
  const lamport = stampOf(reader, 1);
  const breakMs = reader.varint();
  if (breakMs > MAX_BREAK_MS) throw circuitNoticeMalformed(`its break of ${breakMs} ms is too long`);
  const reason = plainReason(reader.text(MAX_REASON_BYTES));
  return { policy, strategy, key, state: state === 1 ? 'open' : 'closed', lamport, breakMs, reason };
}

function stampOf(reader: ByteReader, least: number): number {
  const stamp = reader.varint();
  if (stamp < least || stamp > MAX_LAMPORT) throw circuitNoticeMalformed(`its stamp is ${stamp}`);
  return stamp;
}

function plainReason(reason: string): string {
  return reason.replaceAll(CONTROLS, ' ').slice(0, MAX_REASON_CHARACTERS);
}
