import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FrameParser } from './frame-parser.js';
import { FrameQueue } from './frame-queue.js';
import type { FrameType } from './frame.js';
import { EMPTY, FrameType as Type, HEADER_BYTES, MAX_FRAME_TYPE, Offset } from './frame.js';

interface Frame {
  readonly type: FrameType;
  readonly channel: number;
  readonly correlation: number;
  readonly payload: Buffer;
}

const MAX_PAYLOAD = 300_000;

const frames: fc.Arbitrary<Frame[]> = fc.array(
  fc.record({
    type: fc.integer({ min: 1, max: MAX_FRAME_TYPE }).map((type) => type as FrameType),
    channel: fc.integer({ min: 0, max: 0xffff }),
    correlation: fc.maxSafeNat(),
    payload: fc.oneof(
      fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
      fc.integer({ min: 60_000, max: 140_000 }).map((length) => Buffer.alloc(length, length)),
    ),
  }),
  { maxLength: 8 },
);

function encoded(list: readonly Frame[]): Buffer {
  const queue = new FrameQueue();
  for (const { type, channel, correlation, payload } of list)
    queue.append(type, channel, correlation, payload);
  return Buffer.concat(queue.take(Infinity)?.buffers ?? []);
}

/** Cuts bytes at these places (any numbers), so that a chunk may be empty, one byte, or many frames. */
function split(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b);
  const ends = [...places, bytes.length];
  return ends.map((end, index) => bytes.subarray(index === 0 ? 0 : ends[index - 1], end));
}

function parserInto(list: Frame[], maxPayload = MAX_PAYLOAD): FrameParser {
  return new FrameParser(maxPayload, (type, channel, correlation, payload) => {
    list.push({ type: type as FrameType, channel, correlation, payload: Buffer.from(payload) });
    return true;
  });
}

function parsed(chunks: readonly Buffer[], maxPayload = MAX_PAYLOAD) {
  const list: Frame[] = [];
  const parser = parserInto(list, maxPayload);
  let violation: string | undefined;
  for (const chunk of chunks) violation = parser.push(chunk);
  return { list, violation, insideFrame: parser.insideFrame };
}

/** A frame as text: comparing large buffers item by item takes seconds. */
function text({ type, channel, correlation, payload }: Frame): string {
  return `${type}/${channel}/${correlation}/${payload.length}/${payload.toString('latin1')}`;
}

/** One frame with a header field changed, its checksum made right again unless that is the field. */
function forged(change: (frame: Buffer) => void): Buffer {
  const bytes = encoded([{ type: Type.message, channel: 1, correlation: 7, payload: Buffer.from('hello') }]);
  change(bytes);
  return bytes;
}

describe('a frame parser', () => {
  it('gives back exactly the frames that were encoded, however the bytes are split', () => {
    fc.assert(
      fc.property(frames, fc.array(fc.nat(), { maxLength: 20 }), (list, cuts) => {
        const result = parsed(split(encoded(list), cuts));
        expect(result.list.map(text)).toEqual(list.map(text));
        expect(result).toMatchObject({ violation: undefined, insideFrame: false });
      }),
      { numRuns: 200 },
    );
  });

  it('gives back exactly the frames that were encoded also where some payloads are only borrowed', () => {
    fc.assert(
      fc.property(frames, fc.array(fc.nat(), { maxLength: 20 }), fc.nat(7), (list, cuts, pattern) => {
        const got: string[] = [];
        const kept: Frame[] = [];
        const parser: FrameParser = new FrameParser(MAX_PAYLOAD, (type, channel, correlation, payload) => {
          const frame = { type: type as FrameType, channel, correlation, payload };
          got.push(text(frame));
          if ((pattern >> (got.length % 3)) & 1) parser.lendPayload();
          else kept.push(frame);
          return true;
        });
        const wanted = list.map(text);
        for (const chunk of split(encoded(list), cuts)) parser.push(chunk);
        expect(got).toEqual(wanted);
        // What was not lent is nobody else's, however many frames came after it.
        const whole = new Set(wanted);
        for (const frame of kept) expect(whole.has(text(frame))).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  describe('of frames that come in pieces', () => {
    const SPLIT = 100_000;
    const piece = (fill: number, length = SPLIT): Frame => ({
      type: Type.message,
      channel: 1,
      correlation: fill,
      payload: Buffer.alloc(length, fill),
    });

    /** The memory that each payload lay in. */
    function memories(list: readonly Frame[], borrowed: boolean, between = (_parser: FrameParser) => {}) {
      const seen: ArrayBufferLike[] = [];
      const parser: FrameParser = new FrameParser(2_000_000, (_type, _channel, _correlation, payload) => {
        seen.push(payload.buffer);
        if (borrowed) parser.lendPayload();
        return true;
      });
      for (const frame of list) {
        for (const chunk of split(encoded([frame]), [50_000])) expect(parser.push(chunk)).toBeUndefined();
        between(parser);
      }
      return new Set(seen).size;
    }

    it('puts the next into the memory of one that was only borrowed, and never into that of another', () => {
      expect(memories([piece(1), piece(2), piece(3, 90_000)], true)).toBe(1);
      expect(memories([piece(1), piece(2), piece(3, 90_000)], false)).toBe(3);
    });

    it('keeps no large memory, and none once it was told to let go', () => {
      expect(memories([piece(1, 1_000_000), piece(2, 1_000_000)], true)).toBe(2);
      expect(memories([piece(1), piece(2)], true, (parser) => parser.dropSpare())).toBe(2);
    });
  });

  it('gives back every frame when the bytes come one at a time', () => {
    const list: Frame[] = [
      { type: Type.request, channel: 3, correlation: 2 ** 52, payload: Buffer.from('one') },
      { type: Type.pong, channel: 0, correlation: 0, payload: EMPTY },
      { type: Type.reply, channel: 0, correlation: 9, payload: Buffer.from('two') },
    ];
    const bytes = encoded(list);
    expect(parsed(Array.from(bytes, (byte) => Buffer.from([byte]))).list).toEqual(list);
  });

  it('never throws, never invents and never takes a changed frame, whatever was changed wherever', () => {
    fc.assert(
      fc.property(
        frames.filter((list) => list.length > 0),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        fc.array(fc.nat(), { maxLength: 20 }),
        (list, place, change, cuts) => {
          const bytes = encoded(list);
          const at = place % bytes.length;
          bytes[at] = (bytes[at] ?? 0) ^ change;
          const result = parsed(split(bytes, cuts));
          // Every frame before the changed one is as it was; the changed one never comes, nor any after it.
          expect(result.list.length).toBeLessThan(list.length);
          expect(result.list.map(text)).toEqual(list.slice(0, result.list.length).map(text));
          expect(result.violation !== undefined || result.insideFrame).toBe(true);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('takes garbage without a throw and without keeping more than one frame of it', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 20 }), (chunks) => {
        const result = parsed(chunks.map((chunk) => Buffer.from(chunk)));
        const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
        expect(result.list).toEqual([]);
        expect(result.violation).toBe(bytes >= HEADER_BYTES ? 'bad-magic' : undefined);
      }),
    );
  });

  it.each([
    ['bad-magic', (frame: Buffer) => frame.write('HTTP', 0)],
    ['bad-version', (frame: Buffer) => frame.writeUInt8(2, 3)],
    ['bad-checksum', (frame: Buffer) => frame.writeUInt32BE(1, Offset.checksum)],
    ['bad-flags', (frame: Buffer) => frame.writeUInt8(1, Offset.flags)],
    ['unknown-frame-type', (frame: Buffer) => frame.writeUInt8(MAX_FRAME_TYPE + 1, Offset.type)],
    ['unknown-frame-type', (frame: Buffer) => frame.writeUInt8(0, Offset.type)],
    ['frame-too-large', (frame: Buffer) => frame.writeUInt32BE(MAX_PAYLOAD + 1, Offset.length)],
    ['frame-too-large', (frame: Buffer) => frame.writeUInt32BE(0xffff_ffff, Offset.length)],
    ['bad-checksum', (frame: Buffer) => frame.writeUInt8(0, frame.length - 1)],
    ['bad-checksum', (frame: Buffer) => frame.writeUInt32BE(4, Offset.length)],
  ])('names %s', (violation, change) => {
    const result = parsed([forged((frame) => void change(frame))]);
    expect(result).toMatchObject({ list: [], violation });
  });

  it('judges a header before the payload is there, so that nothing is allocated for what is refused', () => {
    const header = forged((frame) => void frame.writeUInt32BE(MAX_PAYLOAD + 1, Offset.length));
    expect(parsed([header.subarray(0, HEADER_BYTES)]).violation).toBe('frame-too-large');
  });

  it('takes a frame of just the largest payload', () => {
    const frame: Frame = { type: Type.message, channel: 1, correlation: 0, payload: Buffer.alloc(50, 1) };
    expect(parsed([encoded([frame])], 50)).toMatchObject({ list: [frame], violation: undefined });
    expect(parsed([encoded([frame])], 49)).toMatchObject({ list: [], violation: 'frame-too-large' });
  });

  it('hands on nothing more once the handler has said to stop', () => {
    const list = [1, 2, 3].map((channel) => ({
      type: Type.message,
      channel,
      correlation: 0,
      payload: EMPTY,
    }));
    const seen: number[] = [];
    const parser = new FrameParser(10, (_type, channel) => {
      seen.push(channel);
      return channel < 2;
    });
    expect(parser.push(encoded(list))).toBeUndefined();
    expect(seen).toEqual([1, 2]);
  });

  it('stays refused after a violation', () => {
    const list: Frame[] = [];
    const parser = parserInto(list);
    expect(parser.push(Buffer.alloc(HEADER_BYTES))).toBe('bad-magic');
    expect(parser.push(encoded([{ type: Type.ping, channel: 0, correlation: 1, payload: EMPTY }]))).toBe(
      'bad-magic',
    );
    expect(list).toEqual([]);
  });
});
