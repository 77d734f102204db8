import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Hello } from './hello.js';
import { MAX_HELLO_BYTES, decodeHello, encodeHello } from './hello.js';

const hello: Hello = {
  clusterId: 'c1',
  nodeId: 'n2',
  incarnation: 'first',
  http: 'http://127.0.0.1:7401',
  version: '1.0.0',
  pid: 42,
  target: 'n1',
  lane: 'control',
  slot: 0,
  maxPayload: 1_000,
};

function changed(fields: Readonly<Record<string, unknown>>): Buffer {
  return Buffer.from(JSON.stringify({ ...hello, ...fields }));
}

describe('a hello', () => {
  it('arrives as it was sent, without fields nobody asked for', () => {
    expect(decodeHello(encodeHello(hello))).toEqual(hello);
    expect(decodeHello(changed({ admin: true }))).toEqual(hello);
  });

  it.each([
    { nodeId: '' },
    { nodeId: 'x'.repeat(129) },
    { nodeId: 'n2\n{"level":"error"}' },
    { clusterId: 7 },
    { incarnation: undefined },
    { pid: -1 },
    { pid: 1.5 },
    { lane: 'fast' },
    { lane: 'bulk' },
    { slot: 1 },
    { lane: 'bulk', slot: 16 },
    { maxPayload: 2 ** 32 },
    { maxPayload: null },
  ])('is refused with %j', (fields) => {
    expect(decodeHello(changed(fields))).toBeUndefined();
  });

  it('is refused when it is too long, though it is right otherwise', () => {
    expect(decodeHello(changed({ padding: 'x'.repeat(MAX_HELLO_BYTES) }))).toBeUndefined();
  });

  it('is never more than the bound allows, and decoding never throws', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          fc.json().map((text) => Buffer.from(text)),
        ),
        (bytes) => {
          expect(decodeHello(Buffer.from(bytes))).toBeUndefined();
        },
      ),
    );
  });
});
