// What errors say about when to try again.

import { DwError } from '@datawarehouse/sdk';
import { describe, expect, it } from 'vitest';
import { retryAfterOf } from './retry-after.js';

const NOW = Date.parse('Sun, 06 Nov 1994 08:49:37 GMT');
const asked = (error: unknown): number | undefined => retryAfterOf(error, () => NOW);
const withHeader = (value: unknown): unknown => ({ headers: { 'retry-after': value } });

describe('an error asks for a wait', () => {
  it('by retryAfterMs', () => {
    expect(asked(new DwError({ code: 'busy', message: 'busy', retryAfterMs: 250 }))).toBe(250);
    expect(asked(Object.assign(new Error('busy'), { retryAfterMs: 0 }))).toBe(0);
  });

  it('by a header in seconds, in headers of any kind', () => {
    expect(asked(withHeader('2'))).toBe(2_000);
    expect(asked(withHeader(' 120 '))).toBe(120_000);
    expect(asked(withHeader(3))).toBe(3_000);
    expect(asked(withHeader(['4', '5']))).toBe(4_000);
    expect(asked({ headers: { 'Retry-After': '5' } })).toBe(5_000);
    expect(asked({ headers: new Headers({ 'Retry-After': '6' }) })).toBe(6_000);
    const response = new Response(null, { status: 503, headers: { 'Retry-After': '7' } });
    expect(asked(Object.assign(new Error('503'), { response }))).toBe(7_000);
    expect(asked({ response: null })).toBeUndefined();
  });

  it('by a header with a date, of either form, from now on', () => {
    expect(asked(withHeader('Sun, 06 Nov 1994 08:49:47 GMT'))).toBe(10_000);
    expect(asked(withHeader('Sunday, 06-Nov-94 08:50:37 GMT'))).toBe(60_000);
    expect(asked(withHeader('Sun, 06 Nov 1994 08:00:00 GMT'))).toBe(0);
  });

  it('and nothing is asked by what cannot be understood', () => {
    const nothing = [
      '',
      '-1',
      '1.5',
      'soon',
      '1994-11-06',
      'Sun, 99 Nov 1994 08:49:37 GMT',
      '1'.repeat(40),
      null,
      -3,
    ];
    for (const value of nothing) expect(asked(withHeader(value)), String(value)).toBeUndefined();
    for (const error of [undefined, null, 'text', 7, {}, { headers: 'text' }, { retryAfterMs: Number.NaN }]) {
      expect(asked(error)).toBeUndefined();
    }
    expect(asked({ retryAfterMs: -5 })).toBeUndefined();
  });

  it('and nothing by headers that throw', () => {
    const headers = {
      get: () => {
        throw new Error('a defect');
      },
    };
    expect(asked({ headers })).toBeUndefined();
  });
});
