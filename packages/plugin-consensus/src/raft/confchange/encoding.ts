// How a membership change lies in an entry. Two formats: the older one holds a single change, the newer one any number
// and how to pass through the joint membership. No bytes at all are the change that leaves a joint membership.
//
// Format 1: byte 1, change, context.                         A change: kind (1 byte), length of the id (2 bytes), id.
// Format 2: byte 2, transition (1 byte), count (2 bytes), changes, context.

import { confChangeInvalid, confChangeMalformed } from '../errors.js';
import type { ConfChange, ConfChangeSingle, ConfChangeTransition, ConfChangeType } from '../types.js';

/** Changes in one entry. Far more than a group has members; a bound on what one proposal may ask for. */
export const maxChangesPerEntry = 1_024;

/** UTF-8 bytes of a node's id in a change. */
export const maxNodeIdBytes = 1_024;

/** Which of the two formats an entry has. */
export type ConfChangeFormat = 'v1' | 'v2';

// The place in these lists is what stands on disk: add at the end only.
const kinds: readonly ConfChangeType[] = ['add-voter', 'add-learner', 'add-witness', 'remove', 'update'];
const transitions: readonly ConfChangeTransition[] = ['auto', 'joint-implicit', 'joint-explicit'];
const noBytes = new Uint8Array(0);
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The change that leaves a joint membership. */
export const leaveJointChange: ConfChange = Object.freeze({
  transition: 'auto',
  changes: Object.freeze([]),
  context: noBytes,
});

/**
 * The bytes of a membership change. The older format holds one change, made at once, and is meant for groups with
 * nodes that do not know the newer one.
 * @throws DwError `conf-change-invalid` when the format cannot hold the change.
 */
export function encodeConfChange(change: ConfChange, format: ConfChangeFormat = 'v2'): Uint8Array {
  const { transition, changes, context } = change;
  if (format === 'v1') {
    const only = changes[0];
    if (only === undefined || changes.length > 1 || transition !== 'auto') {
      throw confChangeInvalid('a change in the older format is one change without a transition');
    }
    return Buffer.concat([Uint8Array.of(1), encodeSingle(only), context]);
  }
  if (changes.length > maxChangesPerEntry) {
    throw confChangeInvalid(`more than ${maxChangesPerEntry} changes in one entry`);
  }
  if (changes.length === 0 && transition === 'auto' && context.length === 0) return noBytes;
  const head = Buffer.alloc(4);
  head[0] = 2;
  head[1] = transitions.indexOf(transition);
  head.writeUInt16BE(changes.length, 2);
  return Buffer.concat([head, ...changes.map(encodeSingle), context]);
}

function encodeSingle({ type, nodeId }: ConfChangeSingle): Uint8Array {
  const id = Buffer.from(nodeId, 'utf8');
  if (id.length > maxNodeIdBytes) throw confChangeInvalid(`a node id of more than ${maxNodeIdBytes} bytes`);
  const head = Buffer.alloc(3);
  head[0] = kinds.indexOf(type);
  head.writeUInt16BE(id.length, 1);
  return Buffer.concat([head, id]);
}

/** Which format these bytes are in. Does not check more than that. */
export function confChangeFormat(data: Uint8Array): ConfChangeFormat {
  return data[0] === 1 ? 'v1' : 'v2';
}

/**
 * The membership change that these bytes are.
 * @throws DwError `conf-change-malformed`.
 */
export function decodeConfChange(data: Uint8Array): ConfChange {
  if (data.length === 0) return leaveJointChange;
  const reader = new Reader(data);
  const version = reader.byte();
  if (version === 1) {
    return { transition: 'auto', changes: [reader.single()], context: reader.rest() };
  }
  if (version !== 2) throw confChangeMalformed(`format ${version} is not known`);
  const transition = transitions[reader.byte()];
  if (transition === undefined) throw confChangeMalformed('the transition is not known');
  const count = reader.length();
  if (count > maxChangesPerEntry) throw confChangeMalformed(`${count} changes are too many`);
  const changes = Array.from({ length: count }, () => reader.single());
  return { transition, changes, context: reader.rest() };
}

/** Reads bytes from front to back, and nothing beyond their end. */
class Reader {
  readonly #data: Uint8Array;
  #at = 0;

  constructor(data: Uint8Array) {
    this.#data = data;
  }

  byte(): number {
    const value = this.#data[this.#at];
    if (value === undefined) throw confChangeMalformed('they end too early');
    this.#at++;
    return value;
  }

  length(): number {
    return this.byte() * 256 + this.byte();
  }

  single(): ConfChangeSingle {
    const type = kinds[this.byte()];
    if (type === undefined) throw confChangeMalformed('a kind of change is not known');
    const length = this.length();
    if (length > maxNodeIdBytes) throw confChangeMalformed(`a node id of ${length} bytes is too long`);
    if (this.#at + length > this.#data.length) throw confChangeMalformed('they end too early');
    const bytes = this.#data.subarray(this.#at, this.#at + length);
    this.#at += length;
    return { type, nodeId: idOf(bytes) };
  }

  rest(): Uint8Array {
    return Uint8Array.from(this.#data.subarray(this.#at));
  }
}

function idOf(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw confChangeMalformed(`a node id is not UTF-8 (${String(cause)})`);
  }
}
