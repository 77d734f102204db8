// Requests and answers are read as they were written; hostile bytes end in a refusal and never in anything else.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DwError, isDwError } from '../errors/dw-error.js';
import type { WatchedChange } from './answers.js';
import {
  AnswerFrame,
  readAnswers,
  readChanges,
  readDeleted,
  readError,
  readFound,
  readListed,
  readNumber,
  writeChanges,
  writeDeleted,
  writeError,
  writeListed,
} from './answers.js';
import { FRAME_HEADER_BYTES } from './frame.js';
import { readGoodbye, readHello, readTopology, readWelcome } from './handshake.js';
import type { ClientOperation, ClientRequest } from './requests.js';
import { RequestFrame, readRequests } from './requests.js';

const text = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 60 })
  .filter((s) => Buffer.byteLength(s) < 1_024);
const number = fc.maxSafeNat();
const bytes = fc.uint8Array({ maxLength: 400 }).map((array) => Buffer.from(array));
const mode = fc.constantFrom('linearizable' as const, 'lease' as const, 'stale' as const);
const condition = fc.oneof(fc.constant(undefined), fc.constant('absent' as const), number);
const session = fc.option(fc.record({ id: number, sequence: number, lowestOpen: number }), {
  nil: undefined,
});

const operation: fc.Arbitrary<ClientOperation> = fc.oneof(
  fc.record({ op: fc.constant('get' as const), key: text, mode }),
  fc.record({ op: fc.constant('put' as const), key: text, value: bytes, condition, session }),
  fc.record({ op: fc.constant('delete' as const), key: text, condition, session }),
  fc.record({
    op: fc.constant('list' as const),
    group: text,
    mode,
    prefix: text,
    after: fc.option(text, { nil: undefined }),
    limit: number,
  }),
  fc.record({
    op: fc.constant('watch' as const),
    group: text,
    prefix: text,
    after: fc.option(number, { nil: undefined }),
  }),
  fc.record({ op: fc.constant('cancel' as const), target: number }),
  fc.record({ op: fc.constant('open-session' as const), group: text }),
  fc.record({ op: fc.constant('close-session' as const), group: text, session: number }),
);

const request: fc.Arbitrary<ClientRequest> = fc.record({
  id: number,
  timeoutMs: number,
  relay: fc.boolean(),
  operation,
});

/** The content of a finished frame, as its parser hands it out. */
function contentOf(frame: { finish(): Buffer }): Buffer {
  return frame.finish().subarray(FRAME_HEADER_BYTES + 1);
}

function read(content: Buffer): ClientRequest[] {
  const requests: ClientRequest[] = [];
  readRequests(content, (one) => requests.push(one));
  return requests;
}

describe('requests', () => {
  it('are read as they were written', () => {
    fc.assert(
      fc.property(fc.array(request, { maxLength: 8 }), (sent) => {
        const frame = new RequestFrame(1);
        for (const { id, timeoutMs, relay, operation: asked } of sent) {
          frame.add(id, timeoutMs, relay, asked as ClientOperation);
        }
        expect(frame.count).toBe(sent.length);
        expect(read(contentOf(frame))).toEqual(sent);
      }),
    );
  });

  it('for an operation that is not known are told apart, and the next one is read', () => {
    const frame = new RequestFrame();
    frame.add(7, 0, false, { op: 'cancel', target: 1 });
    frame.add(8, 0, false, { op: 'cancel', target: 2 });
    const content = Buffer.from(contentOf(frame));
    content[1] = 200;
    expect(read(content).map(({ id, operation: known }) => [id, known?.op])).toEqual([
      [7, undefined],
      [8, 'cancel'],
    ]);
  });

  it('whose key is empty or no UTF-8 are refused: such bytes would name another key', () => {
    const frame = new RequestFrame();
    frame.add(1, 0, false, { op: 'get', key: 'ab', mode: 'stale' });
    const content = Buffer.from(contentOf(frame));
    content[content.length - 1] = 0xff;
    expect(() => read(content)).toThrow('a key is no UTF-8');
    const empty = new RequestFrame();
    empty.add(1, 0, false, { op: 'get', key: '', mode: 'stale' });
    expect(() => read(contentOf(empty))).toThrow('a key is empty');
    const replacement = new RequestFrame();
    replacement.add(1, 0, false, { op: 'get', key: 'a\uFFFDb', mode: 'stale' });
    expect(read(contentOf(replacement))[0]?.operation).toMatchObject({ key: 'a\uFFFDb' });
  });

  it('made of hostile bytes end in a refusal', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (garbage) => {
        try {
          read(Buffer.from(garbage));
        } catch (error) {
          expect(isDwError(error, 'frame-malformed') || isDwError(error, 'client-protocol-violated')).toBe(
            true,
          );
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('answers', () => {
  const put = fc.record({ kind: fc.constant('put' as const), key: text, version: number, value: bytes });
  const deletion = fc.record({ kind: fc.constant('delete' as const), key: text, version: number });
  const changes: fc.Arbitrary<WatchedChange[]> = fc.array(fc.oneof(put, deletion), { maxLength: 6 });
  const listed = fc.array(fc.record({ key: text, version: number }), { maxLength: 6 });

  it('are read as they were written, each under its id', () => {
    fc.assert(
      fc.property(fc.nat(), number, bytes, listed, changes, (id, version, value, items, told) => {
        const frame = new AnswerFrame(1);
        frame.written(id, version);
        frame.value(id + 1, version, value);
        frame.nothing(id + 2);
        frame.add(id + 3, 'ok', (writer) => writeDeleted(writer, version, true));
        frame.add(id + 4, 'ok', (writer) => writeListed(writer, items));
        frame.add(id + 5, 'event', (writer) => writeChanges(writer, { through: version, changes: told }));
        const error = new DwError({
          code: 'not-leader',
          message: 'm',
          retryable: true,
          details: { leaderId: 'n' },
        });
        frame.add(id + 6, 'error', (writer) => writeError(writer, error));
        const got: [number, string, Buffer][] = [];
        readAnswers(contentOf(frame), (answer) => got.push([answer.id - id, answer.status, answer.body]));
        const body = (n: number): Buffer => (got[n] as [number, string, Buffer])[2];
        expect(got.map(([at, status]) => `${at} ${status}`)).toEqual([
          '0 ok',
          '1 ok',
          '2 ok',
          '3 ok',
          '4 ok',
          '5 event',
          '6 error',
        ]);
        expect(readNumber(body(0))).toBe(version);
        expect(readFound(body(1))).toEqual({ version, value });
        expect(readFound(body(2))).toBeUndefined();
        expect(readDeleted(body(3))).toEqual({ version, existed: true });
        expect(readListed(body(4))).toEqual(items);
        expect(readChanges(body(5))).toEqual({ through: version, changes: told });
        expect(readError(body(6))).toMatchObject({
          code: 'not-leader',
          retryable: true,
          details: { leaderId: 'n' },
        });
      }),
    );
  });

  it('made of hostile bytes end in a refusal', () => {
    const readers = [readNumber, readFound, readDeleted, readListed, readChanges, readError];
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (garbage) => {
        const all = [...readers, (body: Buffer) => readAnswers(body, () => {})];
        for (const reader of all) {
          try {
            reader(Buffer.from(garbage));
          } catch (error) {
            expect(isDwError(error, 'frame-malformed') || isDwError(error, 'client-protocol-violated')).toBe(
              true,
            );
          }
        }
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('the handshake', () => {
  const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
  const topology = { groups: [{ id: 'g', term: 3, leader: 'n1' }], clients: { n1: '127.0.0.1:7600' } };
  const welcome = {
    protocol: 1,
    nodeId: 'n1',
    clusterId: 'c',
    maxFrameBytes: 1,
    maxInFlight: 2,
    maxValueBytes: 3,
    idleMs: 4,
    topology,
  };

  it('is read as it was written', () => {
    expect(readHello(json({ protocol: 1, client: 'c', token: 't', clusterId: 'x' }))).toEqual({
      protocol: 1,
      client: 'c',
      token: 't',
      clusterId: 'x',
    });
    expect(readWelcome(json(welcome))).toEqual(welcome);
    expect(readTopology(json(topology))).toEqual(topology);
    const goodbye = { code: 'c', message: 'm', retryable: true, retryAfterMs: 5 };
    expect(readGoodbye(json(goodbye))).toEqual(goodbye);
  });

  it.each([
    ['no JSON', Buffer.from('{')],
    ['null', json(null)],
    ['an array', json([])],
    ['a version that is no number', json({ protocol: '1', client: 'c' })],
    ['a token that is too long', json({ protocol: 1, client: 'c', token: 'x'.repeat(1_025) })],
  ])('is refused when it is %s', (_what, content) => {
    for (const reader of [readHello, readWelcome, readGoodbye, readTopology]) {
      expect(() => reader(content)).toThrow('does not carry the client protocol');
    }
  });
});
