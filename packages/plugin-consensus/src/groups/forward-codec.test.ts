// Forwarded requests and answers come out as they went in; bytes from a hostile peer end in an error.

import { DwError, isDwError } from '@datawarehouse/sdk';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ForwardReply, ForwardRequest } from './forward-codec.js';
import {
  ForwardFrame,
  decodeError,
  decodeForwardFrame,
  encodeError,
  holdsRequests,
} from './forward-codec.js';

const body = fc.oneof(
  fc.uint8Array({ maxLength: 50 }),
  fc.integer({ min: 8_000, max: 12_000 }).map((size) => new Uint8Array(size).fill(size & 0xff)),
);

const request: fc.Arbitrary<ForwardRequest> = fc.record({
  id: fc.maxSafeNat(),
  operation: fc.constantFrom(
    'propose-command',
    'propose-opaque',
    'get',
    'list',
    'status',
    'transfer',
    'snapshot',
  ),
  groupId: fc.string({ maxLength: 20 }),
  remainingMs: fc.nat(),
  mayRelay: fc.boolean(),
  body,
});

const reply: fc.Arbitrary<ForwardReply> = fc.record({ id: fc.maxSafeNat(), ok: fc.boolean(), body });

function joined(frame: ForwardFrame): Buffer {
  const { bytes } = frame;
  const whole = Buffer.concat(frame.finish());
  expect(whole.length).toBe(bytes);
  return whole;
}

const plain = <T extends { readonly body: Uint8Array }>(items: readonly T[]) =>
  items.map((item) => ({ ...item, body: Buffer.from(item.body).toString('hex') }));

describe('forwarded frames', () => {
  it('come out as they went in', () => {
    fc.assert(
      fc.property(
        fc.array(request, { maxLength: 6 }),
        fc.array(reply, { maxLength: 6 }),
        (requests, replies) => {
          const asked = new ForwardFrame('requests');
          for (const each of requests) asked.addRequest(each);
          const bytes = joined(asked);
          expect(holdsRequests(bytes)).toBe(true);
          const found = decodeForwardFrame(bytes);
          expect(found.kind === 'requests' && plain(found.requests)).toEqual(plain(requests));

          const answered = new ForwardFrame('replies');
          for (const each of replies) answered.addReply(each);
          const back = decodeForwardFrame(joined(answered));
          expect(back.kind === 'replies' && plain(back.replies)).toEqual(plain(replies));
        },
      ),
    );
  });

  it('are refused, and never crash the reader, when they are anything else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.constantFrom(1, 2), (bytes, kind) => {
        try {
          decodeForwardFrame(Buffer.from([kind, ...bytes]));
        } catch (error) {
          if (!isDwError(error, 'frame-malformed')) throw error;
        }
      }),
    );
  });
});

describe('errors', () => {
  it('keep what a client is told', () => {
    const error = new DwError({
      code: 'overloaded',
      message: 'too much',
      status: 429,
      retryable: true,
      retryAfterMs: 250,
      hint: 'wait',
      details: { leaderId: 'n2' },
    });
    expect(decodeError(encodeError(error))).toMatchObject({
      code: 'overloaded',
      message: 'too much',
      status: 429,
      retryable: true,
      retryAfterMs: 250,
      hint: 'wait',
      details: { leaderId: 'n2' },
    });
    expect(decodeError(encodeError(new Error('secret')))).toMatchObject({
      code: 'internal-error',
      status: 500,
    });
    expect(decodeError(Buffer.from('nonsense')).code).toBe('frame-malformed');
    expect(decodeError(Buffer.from('{"code":7}')).code).toBe('frame-malformed');
  });
});
