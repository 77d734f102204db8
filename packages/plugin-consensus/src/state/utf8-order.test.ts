// The order of keys is the order of their bytes.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareUtf8 } from './utf8-order.js';

describe('compareUtf8', () => {
  it('agrees with the order of the encoded bytes, also beyond the basic plane', () => {
    const text = fc.string({
      unit: fc.constantFrom('a', 'b', 'é', '\u{ffff}', '\u{e000}', '\u{10000}', '\u{1f600}', '\u{d7ff}'),
    });
    fc.assert(
      fc.property(text, text, (a, b) => {
        expect(Math.sign(compareUtf8(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
      }),
    );
  });
});
