import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteWriter, isDwError } from '@datawarehouse/sdk';
import { MAX_BREAK_MS } from '../strategies/circuit-breaker/circuit-breaker-options.js';
import type { CircuitNotice } from './circuit-notice.js';
import { MAX_LAMPORT, MAX_NOTICES, decodeCircuitMessage, encodeCircuitMessage } from './circuit-notice.js';

const NOTICE: CircuitNotice = {
  policy: 'peer-rpc',
  strategy: 'circuit-breaker',
  key: 'node-b',
  state: 'open',
  lamport: 3,
  breakMs: 30_000,
  reason: '5 calls failed in a row',
};

describe('notices as bytes', () => {
  it('come back as they were', () => {
    const closed: CircuitNotice = { ...NOTICE, key: 'ключ', state: 'closed', breakMs: 0, reason: '' };
    for (const message of [
      { kind: 'hello', highest: 0 },
      { kind: 'hello', highest: MAX_LAMPORT },
      { kind: 'notices', notices: [] },
      { kind: 'notices', notices: [NOTICE, closed] },
    ] as const) {
      expect(decodeCircuitMessage(encodeCircuitMessage(message))).toEqual(message);
    }
  });

  it('say reasons in plain and bounded words', () => {
    const reason = `\u001b[31mred\n${'x'.repeat(500)}`;
    const message = decodeCircuitMessage(
      encodeCircuitMessage({ kind: 'notices', notices: [{ ...NOTICE, reason }] }),
    );
    expect(message).toMatchObject({ notices: [{ reason: ` [31mred ${'x'.repeat(191)}` }] });
  });

  it.each([
    ['a stamp of 0', { lamport: 0 }],
    ['a stamp that leaves no room', { lamport: MAX_LAMPORT + 1 }],
    ['an endless break', { breakMs: MAX_BREAK_MS + 1 }],
    ['no policy', { policy: '' }],
    ['no breaker', { strategy: '' }],
    ['a long key', { key: 'k'.repeat(513) }],
  ])('are refused with %s', (_what, wrong) => {
    const bytes = encodeCircuitMessage({ kind: 'notices', notices: [{ ...NOTICE, ...wrong }] });
    expect(() => decodeCircuitMessage(bytes)).toThrow(
      expect.objectContaining({ code: 'circuit-notice-malformed' }),
    );
  });

  it('are refused when there are too many, or of another version or kind', () => {
    const many = new ByteWriter();
    many.u8(1);
    many.u8(1);
    many.varint(MAX_NOTICES + 1);
    for (const bytes of [many.finish(), Buffer.of(2, 0, 0), Buffer.of(1, 9, 0)]) {
      expect(() => decodeCircuitMessage(bytes)).toThrow(
        expect.objectContaining({ code: 'circuit-notice-malformed' }),
      );
    }
  });

  it('of any bytes are a message or a coded error', () => {
    const whole = encodeCircuitMessage({ kind: 'notices', notices: [NOTICE] });
    const damaged = fc
      .tuple(fc.nat(whole.length - 1), fc.nat(255), fc.nat(whole.length))
      .map(([at, value, length]) => {
        const bytes = Buffer.from(whole);
        bytes[at] = value;
        return bytes.subarray(0, length);
      });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 60 }), damaged), (bytes) => {
        try {
          decodeCircuitMessage(bytes);
        } catch (error) {
          expect(isDwError(error, 'frame-malformed') || isDwError(error, 'circuit-notice-malformed')).toBe(
            true,
          );
        }
      }),
      { numRuns: 500 },
    );
  });
});
