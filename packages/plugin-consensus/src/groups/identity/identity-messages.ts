// What two nodes say to each other about their storage, as bytes.

import { ByteReader } from '../../codec/byte-reader.js';
import { ByteWriter } from '../../codec/byte-writer.js';
import { malformed } from '../../errors.js';

/** Channel on which nodes introduce themselves. */
export const IDENTITY_CHANNEL = 'dw.raft.identity';

const FORMAT_VERSION = 1;
const MAX_ID_BYTES = 256;
const WHAT = 'an introduction of a node';

/** A node introduces itself. */
export interface Introduction {
  readonly storageId: string;
  /** It has noted durably that it lost an earlier storage and makes no group by itself. */
  readonly returning: boolean;
}

/** What the other one knows of the one that introduced itself, and who it is. */
export interface Acquaintance {
  readonly storageId: string;
  /** False: the node is known here under another storage id than the one it came with. */
  readonly agreed: boolean;
}

/** An introduction as bytes. */
export function encodeIntroduction({ storageId, returning }: Introduction): Uint8Array {
  return encode(storageId, returning);
}

/** Bytes as an introduction. @throws DwError `frame-malformed`. */
export function decodeIntroduction(bytes: Uint8Array): Introduction {
  const { storageId, flag } = decode(bytes);
  return { storageId, returning: flag };
}

/** An answer as bytes. */
export function encodeAcquaintance({ storageId, agreed }: Acquaintance): Uint8Array {
  return encode(storageId, agreed);
}

/** Bytes as an answer. @throws DwError `frame-malformed`. */
export function decodeAcquaintance(bytes: Uint8Array): Acquaintance {
  const { storageId, flag } = decode(bytes);
  return { storageId, agreed: flag };
}

function encode(storageId: string, flag: boolean): Uint8Array {
  const writer = new ByteWriter(64);
  writer.u8(FORMAT_VERSION);
  writer.u8(flag ? 1 : 0);
  writer.text(storageId);
  return writer.finish();
}

function decode(bytes: Uint8Array): { readonly storageId: string; readonly flag: boolean } {
  const reader = new ByteReader(bytes, WHAT);
  const version = reader.u8();
  const flag = reader.u8();
  if (version !== FORMAT_VERSION || flag > 1) throw malformed(WHAT, `format ${version}.${flag}`);
  const storageId = reader.text(MAX_ID_BYTES);
  if (storageId === '') throw malformed(WHAT, 'it names no storage');
  reader.end();
  return { storageId, flag: flag === 1 };
}
