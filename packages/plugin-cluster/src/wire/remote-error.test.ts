import { DwError } from '@datawarehouse/sdk';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAX_ERROR_BYTES, decodeError, encodeError } from './remote-error.js';

describe('an error that travels', () => {
  it('keeps what a program needs, and says who answered', () => {
    const error = new DwError({
      code: 'not-leader',
      message: 'n3 leads',
      retryable: true,
      status: 409,
      retryAfterMs: 5,
      hint: 'ask n3',
      details: { leader: 'n3' },
    });
    expect(decodeError('n2', encodeError('n2', 'raft', error))).toMatchObject({
      code: 'not-leader',
      message: 'n3 leads',
      retryable: true,
      status: 409,
      retryAfterMs: 5,
      hint: 'ask n3',
      details: { leader: 'n3', answeredBy: 'n2' },
    });
  });

  it('is bounded, whatever the handler put into it', () => {
    const circular: Record<string, unknown> = {};
    circular['self'] = circular;
    const wide = { code: 'c'.repeat(9_999), message: 'é'.repeat(99_999), hint: 'h'.repeat(99_999) };
    for (const details of [{ long: 'x'.repeat(99_999) }, circular]) {
      const bytes = encodeError('n2', 'raft', new DwError({ ...wide, details }));
      expect(bytes.length).toBeLessThanOrEqual(MAX_ERROR_BYTES);
    }
  });

  it('names the handler when something else than a DwError was thrown', () => {
    for (const thrown of [new Error('broken'), 'broken', undefined, null, 7]) {
      expect(decodeError('n2', encodeError('n2', 'raft', thrown))).toMatchObject({
        code: 'peer-handler-failed',
      });
    }
  });

  it('never throws, whatever bytes come', () => {
    const fields = fc.record(
      { code: fc.anything(), message: fc.anything(), status: fc.anything(), details: fc.anything() },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          fields.map((value) => Buffer.from(JSON.stringify(value))),
        ),
        (bytes) => {
          expect(decodeError('n2', Buffer.from(bytes))).toBeInstanceOf(DwError);
        },
      ),
    );
  });
});
