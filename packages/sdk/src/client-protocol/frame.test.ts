// Frames arrive cut in any way and are found again; what is no frame is refused before anything is done with it.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isDwError } from '../errors/dw-error.js';
import type { FrameKind } from './frame.js';
import { FRAME_HEADER_BYTES, FrameBuilder, FrameParser, emptyFrame, jsonFrame } from './frame.js';

function frameOf(kind: FrameKind, content: Uint8Array): Buffer {
  const builder = new FrameBuilder(kind, 16);
  builder.writer.raw(content);
  return builder.finish();
}

function collect(maxBytes = 1_000_000) {
  const frames: { kind: FrameKind; content: Buffer }[] = [];
  const parser = new FrameParser(
    () => maxBytes,
    (kind, content) => frames.push({ kind, content }),
  );
  return { frames, parser };
}

function refusal(push: () => void): string {
  try {
    push();
  } catch (error) {
    if (isDwError(error, 'client-protocol-violated')) return error.message;
    throw error;
  }
  return 'accepted';
}

describe('frames', () => {
  it('are found however the stream is cut', () => {
    const contents = fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 8 });
    const cuts = fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1 });
    fc.assert(
      fc.property(contents, cuts, (sent, sizes) => {
        const stream = Buffer.concat(sent.map((content) => frameOf('answers', content)));
        const { frames, parser } = collect();
        for (let at = 0, n = 0; at < stream.length; n++) {
          const end = at + (sizes[n % sizes.length] as number);
          parser.push(stream.subarray(at, end));
          at = end;
        }
        expect(frames.map(({ content }) => new Uint8Array(content))).toEqual(sent);
        expect(parser.heldBytes).toBe(0);
      }),
    );
  });

  it('say how much of them waits', () => {
    const { parser } = collect();
    parser.push(frameOf('requests', new Uint8Array(100)).subarray(0, 60));
    expect(parser.heldBytes).toBe(60);
  });

  it('of one flipped bit are refused, wherever the bit is', () => {
    const content = Buffer.from('sixteen bytes...');
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 8 * (content.length + 5) - 1 }), (bit) => {
        const frame = frameOf('requests', content);
        // The length may be damaged, too, but then the frame may wait for bytes that never come: leave that field out.
        const at = 4 + Math.floor(bit / 8);
        frame[at] = (frame[at] as number) ^ (1 << (bit % 8));
        const { frames, parser } = collect();
        expect(refusal(() => parser.push(frame))).toContain('checksum');
        expect(frames).toEqual([]);
      }),
    );
  });

  it('that are too long, empty or of no known kind are refused by their header or first byte', () => {
    const header = Buffer.alloc(FRAME_HEADER_BYTES);
    header.writeUInt32LE(1_001, 0);
    expect(refusal(() => collect(1_000).parser.push(header))).toContain('1001 bytes, where 1000 is the most');
    expect(refusal(() => collect().parser.push(Buffer.alloc(FRAME_HEADER_BYTES)))).toContain('empty');
    const unknown = new FrameBuilder('ping');
    unknown.writer.finish()[FRAME_HEADER_BYTES] = 99;
    expect(refusal(() => collect().parser.push(unknown.finish()))).toContain('no frame kind 99');
  });

  it('that speak HTTP are refused', () => {
    expect(refusal(() => collect().parser.push(Buffer.from('GET / HTTP/1.1\r\n\r\n')))).toContain(
      'is the most',
    );
  });

  it('carry JSON, or nothing', () => {
    const { frames, parser } = collect();
    parser.push(Buffer.concat([jsonFrame('hello', { protocol: 1 }), emptyFrame('ping')]));
    expect(frames.map(({ kind, content }) => [kind, content.toString()])).toEqual([
      ['hello', '{"protocol":1}'],
      ['ping', ''],
    ]);
  });
});
