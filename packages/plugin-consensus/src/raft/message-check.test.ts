import { describe, expect, it } from 'vitest';
import { faultOf, maxContextLength } from './message-check.js';
import { makeMessage } from './message.js';
import { confOf } from './testing/memory-storage.test.kit.js';
import type { ConfState, Entry, Message } from './types.js';

const base = { to: 'a', from: 'b', term: 5 } as const;

function entry(index: number, term: number): Entry {
  return { index, term, type: 'normal', data: new Uint8Array(1) };
}

function append(fields: Partial<Message>): Message {
  return makeMessage({ ...base, type: 'append', index: 3, logTerm: 4, ...fields });
}

function snapshot(index: number, term: number, conf: ConfState): Message {
  return makeMessage({
    ...base,
    type: 'snapshot',
    snapshot: { metadata: { index, term, conf }, data: new Uint8Array(0) },
  });
}

/** A message with fields that its type does not allow, as a hostile peer may send it. */
function forged(message: Message, fields: Readonly<Record<string, unknown>>): Message {
  return { ...message, ...fields };
}

describe('faultOf', () => {
  it('finds nothing wrong with messages as they should be', () => {
    const good = [
      append({ entries: [entry(4, 4), entry(5, 5)] }),
      append({}),
      makeMessage({ ...base, type: 'heartbeat' }),
      makeMessage({ ...base, type: 'propose', term: 0, entries: [entry(0, 0)] }),
      makeMessage({ ...base, type: 'read-index', term: 0, context: 'x' }),
      snapshot(9, 5, confOf(['a', 'b'], ['c'])),
    ];
    expect(good.map((message) => faultOf(message, 'a'))).toEqual(good.map(() => undefined));
  });

  it('refuses what is not meant for this node', () => {
    expect(faultOf(append({}), 'c')).toContain('another node');
  });

  it('refuses kinds that a node says only to itself', () => {
    const local = [
      'hup',
      'beat',
      'check-quorum',
      'storage-append-response',
      'storage-apply-response',
      'forget-leader',
    ] as const;
    for (const type of local)
      expect(faultOf(makeMessage({ ...base, type }), 'a'), type).toContain('only the node itself');
  });

  it('refuses kinds that do not exist', () => {
    for (const type of ['toString', '__proto__', 'x']) {
      expect(faultOf(forged(append({}), { type }), 'a'), type).toContain('unknown kind');
    }
  });

  it('refuses numbers that are none', () => {
    const fields = ['term', 'index', 'logTerm', 'commit', 'rejectHint'];
    for (const field of fields) {
      for (const value of [-1, 1.5, Number.NaN, 2 ** 53, '7', undefined]) {
        expect(faultOf(forged(append({}), { [field]: value }), 'a'), `${field} ${value}`).toBeDefined();
      }
    }
  });

  it('refuses a message that would pass for a local one by its term', () => {
    expect(faultOf(append({ term: 0, logTerm: 0 }), 'a')).toContain('term');
    expect(faultOf(makeMessage({ ...base, type: 'propose', entries: [entry(0, 0)] }), 'a')).toContain('term');
  });

  it('refuses entries with gaps, falling or future terms, or without data', () => {
    expect(faultOf(append({ entries: [entry(5, 5)] }), 'a')).toContain('gap');
    expect(faultOf(append({ entries: [entry(4, 5), entry(6, 5)] }), 'a')).toContain('gap');
    expect(faultOf(append({ entries: [entry(4, 3)] }), 'a')).toContain('terms');
    expect(faultOf(append({ entries: [entry(4, 6)] }), 'a')).toContain('terms');
    expect(faultOf(forged(append({}), { entries: [{ ...entry(4, 5), data: 'x' }] }), 'a')).toContain('data');
    expect(faultOf(forged(append({}), { entries: [{ ...entry(4, 5), type: 'x' }] }), 'a')).toContain('type');
    expect(faultOf(forged(append({}), { entries: 7 }), 'a')).toContain('entries');
  });

  it('refuses snapshots of the future, of nobody, or with members in two places', () => {
    expect(faultOf(makeMessage({ ...base, type: 'snapshot' }), 'a')).toContain('without one');
    expect(faultOf(snapshot(9, 6, confOf(['a'])), 'a')).toContain('future');
    expect(faultOf(snapshot(0, 1, confOf(['a'])), 'a')).toContain('future');
    expect(faultOf(snapshot(9, 5, confOf([])), 'a')).toContain('voters');
    expect(faultOf(snapshot(9, 5, confOf(['a'], ['a'])), 'a')).toContain('votes and learns');
    expect(faultOf(snapshot(9, 5, { ...confOf(['a']), learnersNext: ['b'] }), 'a')).toContain(
      'next learners',
    );
    expect(faultOf(snapshot(9, 5, confOf(['a', 'a'])), 'a')).toContain('voters');
  });

  it('refuses proposals of nothing, and contexts that are too long', () => {
    expect(faultOf(makeMessage({ ...base, type: 'propose', term: 0 }), 'a')).toContain('nothing');
    const long = 'x'.repeat(maxContextLength + 1);
    expect(faultOf(makeMessage({ ...base, type: 'heartbeat', context: long }), 'a')).toContain('context');
  });
});
