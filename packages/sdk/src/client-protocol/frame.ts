// The frames of the client protocol: what lies on the wire between a client and the client port of a node.
//
//   length u32 | crc32 u32 | body (its first byte says what kind of frame it is)
//
// The CRC-32 is over the body. TCP's own sum of 16 bits lets damage through about once in 65 536 times, and what a node
// acknowledges as durable must be what its client sent; it costs a tenth of a microsecond for a small write. Under TLS
// it is not needed and stays, so that there is one format.

import { crc32 } from '../checksum/crc32.js';
import { ByteWriter } from '../codec/byte-writer.js';
import { DwError } from '../errors/dw-error.js';

/** Bytes before the body. */
export const FRAME_HEADER_BYTES = 8;
/** Longest body before the handshake is over. */
export const MAX_HANDSHAKE_BYTES = 64 * 1_024;
/** Bodies are cut about here when there is more to say: one frame never holds up another request for long. */
export const FRAME_CUT_BYTES = 256 * 1_024;

/** What a body is. The hello comes first, from the client; nothing else is taken before the welcome. */
export const FRAME_KINDS = {
  hello: 1,
  welcome: 2,
  /** The last frame of who sends it: why the connection ends. */
  goodbye: 3,
  requests: 4,
  answers: 5,
  /** Who leads what and where the nodes are, whenever that changes. */
  topology: 6,
  ping: 7,
  pong: 8,
} as const;

/** Kind of a frame. */
export type FrameKind = keyof typeof FRAME_KINDS;

const KIND_NAMES = new Map<number, FrameKind>(
  Object.entries(FRAME_KINDS).map(([name, code]) => [code, name as FrameKind]),
);

/** The peer does not keep to the protocol: the connection ends. */
export function protocolViolated(why: string): DwError {
  return new DwError({
    code: 'client-protocol-violated',
    message: `The connection does not carry the client protocol: ${why}`,
    hint: 'connect @datawarehouse/client to the client port, with TLS if the port has it',
    status: 400,
  });
}

/** A frame under construction: write its body into {@link writer}, then {@link finish} it. */
export class FrameBuilder {
  readonly writer: ByteWriter;

  /** @param capacity Bytes to start with. */
  constructor(kind: FrameKind, capacity = 256) {
    this.writer = new ByteWriter(capacity);
    this.writer.u32(0);
    this.writer.u32(0);
    this.writer.u8(FRAME_KINDS[kind]);
  }

  /** Bytes so far, header included. */
  get bytes(): number {
    return this.writer.length;
  }

  /** The whole frame. Write nothing after it. */
  finish(): Buffer {
    const { writer } = this;
    const body = writer.finish().subarray(FRAME_HEADER_BYTES);
    writer.u32At(0, body.length);
    writer.u32At(4, crc32(body));
    return writer.finish();
  }
}

/** A frame whose body is JSON (hello, welcome, goodbye, topology). */
export function jsonFrame(kind: FrameKind, content: object): Buffer {
  const builder = new FrameBuilder(kind, 1_024);
  builder.writer.raw(Buffer.from(JSON.stringify(content)));
  return builder.finish();
}

/** A frame without content (ping, pong). */
export function emptyFrame(kind: FrameKind): Buffer {
  return new FrameBuilder(kind, 16).finish();
}

/**
 * Finds frames in what a connection delivers, however it is cut. Holds at most one frame of the largest size.
 * `onFrame` gets the content after the kind, as a view that lives as long as it is held.
 */
export class FrameParser {
  private parts: Buffer[] = [];
  private partBytes = 0;
  /** Bytes of the frame that is being collected; 0 while its header is not complete. */
  private wanted = 0;

  /** @param maxBytes Longest body taken now; asked at each frame. */
  constructor(
    private readonly maxBytes: () => number,
    private readonly onFrame: (kind: FrameKind, content: Buffer) => void,
  ) {}

  /** Bytes of a frame that is not complete. */
  get heldBytes(): number {
    return this.partBytes;
  }

  /** Takes in what came. @throws DwError `client-protocol-violated`; take in nothing more after it. */
  push(chunk: Buffer): void {
    let data = chunk;
    if (this.partBytes > 0) {
      this.parts.push(chunk);
      this.partBytes += chunk.length;
      if (this.partBytes < Math.max(this.wanted, FRAME_HEADER_BYTES)) return;
      data = Buffer.concat(this.parts, this.partBytes);
      this.parts = [];
      this.partBytes = 0;
      this.wanted = 0;
    }
    let at = 0;
    while (data.length - at >= FRAME_HEADER_BYTES) {
      const length = data.readUInt32LE(at);
      const max = this.maxBytes();
      if (length === 0) throw protocolViolated('a frame is empty');
      if (length > max) throw protocolViolated(`a frame of ${length} bytes, where ${max} is the most`);
      const end = at + FRAME_HEADER_BYTES + length;
      if (end > data.length) {
        this.wanted = FRAME_HEADER_BYTES + length;
        break;
      }
      this.deliver(data.subarray(at + FRAME_HEADER_BYTES, end), data.readUInt32LE(at + 4));
      at = end;
    }
    if (at === data.length) return;
    this.parts.push(at === 0 ? data : data.subarray(at));
    this.partBytes = data.length - at;
  }

  private deliver(body: Buffer, crc: number): void {
    if (crc32(body) !== crc) throw protocolViolated('a frame has the wrong checksum');
    const kind = KIND_NAMES.get(body[0] as number);
    if (kind === undefined) throw protocolViolated(`there is no frame kind ${body[0]}`);
    this.onFrame(kind, body.subarray(1));
  }
}
