import { Type } from '@sinclair/typebox';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { defineTopic } from './define-topic.js';
import { assertTopicName, assertTopicPattern, isTopicPattern, topicMatches } from './topic-name.js';

describe('topic names and patterns', () => {
  it.each([
    ['a.b', 'a.b', true],
    ['a.*', 'a.b', true],
    ['a.*', 'a', false],
    ['a.*', 'a.b.c', false],
    ['*.b', 'a.b', true],
    ['a.>', 'a', false],
    ['a.>', 'a.b.c', true],
    ['>', 'a', true],
    ['*', 'a', true],
    ['a.*.c', 'a.b.c', true],
    ['a.*.c', 'a.b.d', false],
    ['A', 'a', false],
  ])('%s against %s: %s', (pattern, topic, matches) => {
    expect(topicMatches(pattern, topic)).toBe(matches);
  });

  it.each(['a', 'a.b', 'A-1._x', 'x'.repeat(256)])('takes %s as a name', (name) => {
    assertTopicName(name);
    expect(isTopicPattern(name)).toBe(false);
  });

  it.each(['a.*', '>', '*', 'a.>', '*.*.>'])('takes %s as a pattern and not as a name', (pattern) => {
    assertTopicPattern(pattern);
    expect(isTopicPattern(pattern)).toBe(true);
    expect(() => assertTopicName(pattern)).toThrow(/is not a topic/);
  });

  it.each([
    '',
    '.',
    'a.',
    '.a',
    'a..b',
    'a.>.b',
    '>.a',
    'a*',
    'a b',
    'ä',
    'a\n',
    'x'.repeat(257),
    7,
    null,
    {},
  ])('takes %j as neither', (text) => {
    expect(() => assertTopicPattern(text as string)).toThrow(/is not a topic or pattern/);
    expect(() => assertTopicName(text as string)).toThrow(/is not a topic/);
  });

  it('never shows more than a little of a name that is wrong', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 300, maxLength: 2_000 }), (text) => {
        expect(() => assertTopicName(text)).toThrow(
          expect.objectContaining({ code: 'bus-invalid-topic' }) as Error,
        );
        expect(() => assertTopicName(text)).toThrow(/^.{0,400}$/s);
      }),
      { numRuns: 20 },
    );
  });

  it('fills in the rule and capacity of a topic', () => {
    const topic = defineTopic({ name: 'a', description: '', payload: Type.Null() });
    expect(topic).toMatchObject({ overflow: 'drop-oldest', capacity: 1_000, reply: undefined });
    expect(() => defineTopic({ name: 'a.*', description: '', payload: Type.Null() })).toThrow(
      /is not a topic/,
    );
  });
});
