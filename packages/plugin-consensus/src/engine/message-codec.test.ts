// Messages come out as they went in, and bytes from a hostile peer end in an error, never in a crash.

import { isDwError } from '@datawarehouse/sdk';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteReader } from '../codec/byte-reader.js';
import { ByteWriter } from '../codec/byte-writer.js';
import type { Entry, Message } from '../raft/types.js';
import { decodeEnvelope, encodeEnvelope } from './entry-envelope.js';
import {
  MessageFrame,
  decodeFrame,
  readSnapshotMetadata,
  travels,
  writeSnapshotMetadata,
} from './message-codec.js';

const entry = fc.record({
  term: fc.maxSafeNat(),
  index: fc.maxSafeNat(),
  type: fc.constantFrom('normal' as const, 'conf-change' as const),
  data: fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.integer({ min: 8_000, max: 20_000 }).map((size) => new Uint8Array(size).fill(size & 0xff)),
  ),
});

const message: fc.Arbitrary<Message> = fc.record({
  type: fc.constantFrom(
    'append' as const,
    'append-response' as const,
    'vote' as const,
    'pre-vote-response' as const,
    'heartbeat' as const,
    'read-index' as const,
    'timeout-now' as const,
  ),
  from: fc.constant('n2'),
  to: fc.constant('n1'),
  term: fc.maxSafeNat(),
  logTerm: fc.maxSafeNat(),
  index: fc.maxSafeNat(),
  commit: fc.maxSafeNat(),
  rejectHint: fc.maxSafeNat(),
  vote: fc.option(fc.string({ minLength: 1, maxLength: 10 }), { nil: undefined }),
  context: fc.string({ maxLength: 20 }),
  entries: fc.array(entry, { maxLength: 5 }),
  snapshot: fc.constant(undefined),
  reject: fc.boolean(),
});

const batch = fc.array(fc.record({ groupId: fc.constantFrom('group-1', 'group-2'), message }), {
  maxLength: 6,
});

function encode(messages: readonly { groupId: string; message: Message }[]): Buffer {
  const frame = new MessageFrame();
  for (const { groupId, message } of messages) frame.add(groupId, message);
  const { bytes } = frame;
  const joined = Buffer.concat(frame.finish());
  expect(joined.length).toBe(bytes);
  return joined;
}

const entryOf = (length: number): Entry => ({
  term: 1,
  index: 1,
  type: 'normal',
  data: Buffer.alloc(length, length),
});

function plain(messages: readonly { groupId: string; message: Message }[]): unknown {
  return messages.map(({ groupId, message }) => ({
    groupId,
    message: {
      ...message,
      entries: message.entries.map((entry) => ({ ...entry, data: Buffer.from(entry.data).toString('hex') })),
    },
  }));
}

/** True when it decoded or was refused as malformed; anything else is a crash and comes out. */
function survives(bytes: Uint8Array): boolean {
  try {
    decodeFrame(bytes, 'n2', 'n1');
  } catch (error) {
    if (!isDwError(error, 'frame-malformed')) throw error;
  }
  return true;
}

describe('frames of Raft messages', () => {
  it('come out as they went in', () => {
    fc.assert(
      fc.property(batch, (messages) => {
        expect(plain(decodeFrame(encode(messages), 'n2', 'n1'))).toEqual(plain(messages));
      }),
    );
  });

  it('come out as they went in when one follows another in the same memory', () => {
    const large = fc.record({
      groupId: fc.constant('group-1'),
      message: fc.tuple(message, fc.integer({ min: 1, max: 200_000 })).map(([one, length]) => ({
        ...one,
        entries: [{ ...entryOf(length), index: 1, term: 1 }],
      })),
    });
    fc.assert(
      fc.property(fc.array(fc.oneof(batch, fc.tuple(large)), { maxLength: 4 }), (frames) => {
        const frame = new MessageFrame();
        for (const messages of frames) {
          for (const { groupId, message: one } of messages) frame.add(groupId, one);
          const { bytes } = frame;
          const joined = Buffer.concat(frame.finish());
          expect(joined.length).toBe(bytes);
          expect(plain(decodeFrame(joined, 'n2', 'n1'))).toEqual(plain(messages));
          frame.restart();
        }
      }),
      { numRuns: 50 },
    );
  });

  it('are refused, not followed, when they are cut, flipped or invented', () => {
    fc.assert(
      fc.property(batch, fc.nat(), fc.nat(), fc.nat(255), (messages, cut, at, flip) => {
        const bytes = encode(messages);
        survives(bytes.subarray(0, cut % (bytes.length + 1)));
        const bad = Buffer.from(bytes);
        const place = at % bad.length;
        bad[place] = (bad[place] as number) ^ flip;
        survives(bad);
      }),
    );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => survives(bytes)));
  });

  it('cannot make the reader allocate for entries that are not there', () => {
    const writer = new ByteWriter();
    writer.u8(1);
    writer.text('group-1');
    writer.u8(1);
    writer.u8(8);
    for (let n = 0; n < 5; n++) writer.varint(1);
    writer.varint(2 ** 40);
    expect(() => decodeFrame(writer.finish(), 'n2', 'n1')).toThrow(/claims/);
  });

  it('say only of local messages that they do not travel', () => {
    expect(travels('append')).toBe(true);
    for (const type of ['hup', 'propose', 'storage-append-response', 'snapshot'] as const) {
      expect(travels(type)).toBe(false);
    }
  });
});

describe('envelopes and snapshot metadata', () => {
  it('come out as they went in', () => {
    fc.assert(
      fc.property(
        fc.maxSafeNat(),
        fc.string(),
        fc.double({ noNaN: true }),
        fc.uint8Array(),
        (id, proposer, time, data) => {
          const envelope = {
            kind: 'command' as const,
            proposalId: id,
            proposer,
            time,
            data: Buffer.from(data),
          };
          expect(decodeEnvelope(encodeEnvelope(envelope))).toEqual(envelope);
        },
      ),
    );
    const metadata = {
      index: 7,
      term: 3,
      conf: {
        voters: ['a', 'b'],
        votersOutgoing: [],
        learners: ['c'],
        learnersNext: ['d'],
        witnesses: ['b'],
        autoLeave: true,
      },
    };
    const writer = new ByteWriter();
    writeSnapshotMetadata(writer, metadata);
    expect(readSnapshotMetadata(new ByteReader(writer.finish(), 'test'))).toEqual(metadata);
  });
});
