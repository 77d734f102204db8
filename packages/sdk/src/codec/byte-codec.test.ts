// What is written is read back, and what was not written by us is refused.

import { isDwError } from '../errors/dw-error.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteReader } from './byte-reader.js';
import { ByteWriter } from './byte-writer.js';

describe('the byte codec', () => {
  it('reads back every safe integer', () => {
    fc.assert(
      fc.property(fc.array(fc.maxSafeNat()), (numbers) => {
        const writer = new ByteWriter(1);
        for (const number of numbers) writer.varint(number);
        const reader = new ByteReader(writer.finish(), 'test');
        expect(numbers.map(() => reader.varint())).toEqual(numbers);
        reader.end();
      }),
    );
  });

  it('reads back texts, bytes and doubles', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.uint8Array(), fc.double(), (text, bytes, double) => {
        const writer = new ByteWriter(1);
        writer.text(text);
        writer.blob(bytes);
        writer.f64(double);
        writer.u32(0xdeadbeef);
        const reader = new ByteReader(writer.finish(), 'test');
        expect(reader.text(10_000)).toBe(text);
        expect(new Uint8Array(reader.blob(10_000))).toEqual(bytes);
        expect(reader.f64()).toBe(double);
        expect(reader.u32()).toBe(0xdeadbeef);
        reader.end();
      }),
    );
  });

  it('reads names as it reads texts, the first time and any other', () => {
    const ids = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 80 }),
      fc.constantFrom('n1', 'n2', 'kv-0', 'kv-1'),
    );
    fc.assert(
      fc.property(fc.array(ids, { maxLength: 60 }), (given) => {
        const writer = new ByteWriter(1);
        for (const text of given) writer.text(text);
        const bytes = writer.finish();
        const texts = new ByteReader(bytes, 'test');
        const reader = new ByteReader(bytes, 'test');
        for (const _ of given) expect(reader.name(10_000)).toBe(texts.text(10_000));
        reader.end();
        // A name that was read does not change with the bytes that it was read from.
        const before = new ByteReader(Buffer.from(bytes), 'test');
        bytes.fill(0x41);
        for (const text of given) expect(before.name(10_000)).toBe(Buffer.from(text).toString());
      }),
    );
  });

  it('refuses a length beyond the bound, a cut text, and bytes too many', () => {
    const writer = new ByteWriter();
    writer.text('hello');
    const bytes = writer.finish();
    const refused = (read: () => unknown): boolean => {
      try {
        read();
        return false;
      } catch (error) {
        return isDwError(error, 'frame-malformed');
      }
    };
    expect(refused(() => new ByteReader(bytes, 'test').text(4))).toBe(true);
    expect(refused(() => new ByteReader(bytes.subarray(0, 3), 'test').text(5))).toBe(true);
    expect(refused(() => new ByteReader(bytes, 'test').name(4))).toBe(true);
    expect(refused(() => new ByteReader(bytes.subarray(0, 3), 'test').name(5))).toBe(true);
    expect(refused(() => new ByteReader(bytes, 'test').end())).toBe(true);
    expect(refused(() => new ByteReader(new Uint8Array(9).fill(0xff), 'test').varint())).toBe(true);
  });
});
