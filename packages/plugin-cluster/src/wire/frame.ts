// The layout of a frame, the only thing peers send each other. All numbers are big-endian.
//
//   0  u32  magic "DWP" and the protocol version
//   4  u32  CRC-32 of everything that follows, header and payload
//   8  u8   type
//   9  u8   flags, 0 in this version
//  10  u16  channel, a number that a `bind` frame has given a name on this connection
//  12  u32  length of the payload in bytes
//  16  u64  correlation: which request a reply belongs to, or the sequence of a ping
//  24       payload
//
// The magic and the version come first so that a stranger is told from a damaged peer; everything after the checksum
// lies in one piece, so that checking a frame is one call.

/** Bytes before the payload. */
export const HEADER_BYTES = 24;
/** Version of the protocol. Peers with another one are cut off. */
export const PROTOCOL_VERSION = 1;
/** The first three bytes, as the upper part of the first number. */
export const MAGIC_WORD = 0x44575000;
/** The first four bytes of every frame. */
export const MAGIC = MAGIC_WORD | PROTOCOL_VERSION;

/** Where the fields are. */
export const Offset = {
  magic: 0,
  checksum: 4,
  type: 8,
  flags: 9,
  channel: 10,
  length: 12,
  correlationHigh: 16,
  correlationLow: 20,
} as const;

/** The types of frame. */
export const FrameType = {
  /** First frame of who dialled: who it is. */
  hello: 1,
  /** Answer to a hello that was accepted. */
  welcome: 2,
  /** Answer to a hello that was refused, with the reason; the connection ends. */
  refuse: 3,
  /** Gives a channel number its name on this connection. */
  bind: 4,
  /** One way. */
  message: 5,
  request: 6,
  reply: 7,
  /** A reply that is an error. */
  error: 8,
  /** Nobody waits for the reply to this request any more. */
  cancel: 9,
  ping: 10,
  pong: 11,
  /** The process that sends it is leaving the cluster. */
  goodbye: 12,
} as const;

/** The number of a {@link FrameType}. */
export type FrameType = (typeof FrameType)[keyof typeof FrameType];

/** Largest number of a known type. */
export const MAX_FRAME_TYPE = FrameType.goodbye;

/** What can be wrong with bytes that claim to be a frame. Each is a reason to cut the connection. */
export type FrameViolation =
  | 'bad-magic'
  | 'bad-version'
  | 'bad-checksum'
  | 'bad-flags'
  | 'frame-too-large'
  | 'unknown-frame-type';

/** Bytes to send: one piece or several that follow each other. */
export type Payload = Uint8Array | readonly Uint8Array[];

/** Bytes of a payload. */
export function payloadBytes(payload: Payload): number {
  if (payload instanceof Uint8Array) return payload.length;
  let bytes = 0;
  for (const part of payload) bytes += part.length;
  return bytes;
}

/** No payload. */
export const EMPTY: Buffer = Buffer.alloc(0);
