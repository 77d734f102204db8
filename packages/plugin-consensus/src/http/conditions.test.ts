// Headers and query of the key-value API: the conditions that are known, and nothing else.

import { describe, expect, it } from 'vitest';
import { conditionOf, consistencyOf, etagOf, limitOf } from './conditions.js';

describe('conditions', () => {
  it('are read from the headers that carry them', () => {
    expect(conditionOf({})).toBeUndefined();
    expect(conditionOf({ 'if-match': etagOf(7) })).toBe(7);
    expect(conditionOf({ 'if-match': ' "0" ' })).toBe(0);
    expect(conditionOf({ 'if-none-match': '*' })).toBe('absent');
  });

  it.each([
    { 'if-match': '7' },
    { 'if-match': '*' },
    { 'if-match': 'W/"7"' },
    { 'if-match': '"7", "8"' },
    { 'if-match': '"-1"' },
    { 'if-match': '"9999999999999999"' },
    { 'if-match': '' },
    { 'if-none-match': '"7"' },
    { 'if-none-match': '' },
    { 'if-match': '"7"', 'if-none-match': '*' },
  ])('are refused when they are anything else: %j', (headers) => {
    expect(() => conditionOf(headers)).toThrow(
      expect.objectContaining({ code: 'request-invalid', status: 400 }),
    );
  });
});

describe('the query', () => {
  it('takes what is known and refuses the rest', () => {
    expect(consistencyOf({})).toBe('linearizable');
    expect(consistencyOf({ consistency: 'stale' })).toBe('stale');
    expect(() => consistencyOf({ consistency: 'eventual' })).toThrow(/consistency/);
    expect(limitOf({})).toBeUndefined();
    expect(limitOf({ limit: '10' })).toBe(10);
    for (const limit of ['', '-1', '1.5', 'ten', '1e3']) expect(() => limitOf({ limit })).toThrow(/limit/);
  });
});
