// Which errors a strategy takes for failures.

import { DwError } from '@datawarehouse/sdk';
import { describe, expect, it } from 'vitest';
import {
  bulkheadFull,
  callTimedOut,
  chaosInjected,
  circuitIsolated,
  circuitOpen,
  rejectingPolicy,
  rejectingStrategy,
} from '../errors.js';
import type { ErrorMatch, ErrorMatchDefaults } from './error-match.js';
import {
  FAILURE_BY_DEFAULT,
  REPLACED_BY_DEFAULT,
  RETRIED_BY_DEFAULT,
  compileErrorMatch,
  handledRejections,
} from './error-match.js';

const timedOut = callTimedOut('p', '', 10);
const chaos = chaosInjected('p', '', 'a fault');
const open = circuitOpen('p', '', 10);
const full = bulkheadFull('p', '', 1, 0);
const busy = new DwError({ code: 'busy', message: 'busy', retryable: true, status: 503 });
const refused = new DwError({ code: 'refused', message: 'refused', status: 403 });
const plain = new TypeError('fetch failed');
const reset = Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' });
const badGateway = Object.assign(new Error('502'), { statusCode: 502 });
const aborted = new DOMException('gone', 'AbortError');

const ALL = { timedOut, chaos, open, full, busy, refused, plain, reset, badGateway, aborted };

/** Judges errors as the policy does that made the rejections. */
function matcher(match: ErrorMatch, defaults: ErrorMatchDefaults): (error: unknown) => boolean {
  const isMeant = compileErrorMatch(match, defaults);
  return (error) => isMeant(error, rejectingStrategy(error));
}

/** The names of those of {@link ALL} that are meant. */
function meant(match: ErrorMatch, defaults: ErrorMatchDefaults = FAILURE_BY_DEFAULT): string[] {
  const isMeant = matcher(match, defaults);
  return Object.entries(ALL)
    .filter(([, error]) => isMeant(error))
    .map(([name]) => name);
}

describe('an error match that says nothing', () => {
  it('means every error of the action, a timeout and what chaos made, and no cancellation', () => {
    expect(meant({})).toEqual(['timedOut', 'chaos', 'busy', 'refused', 'plain', 'reset', 'badGateway']);
  });

  it('for a retry spares what says that trying again does not help', () => {
    expect(meant({}, RETRIED_BY_DEFAULT)).toEqual([
      'timedOut',
      'chaos',
      'busy',
      'plain',
      'reset',
      'badGateway',
    ]);
  });

  it('for a fallback means what every strategy turns away too', () => {
    expect(meant({}, REPLACED_BY_DEFAULT)).toEqual(Object.keys(ALL).filter((name) => name !== 'aborted'));
  });

  it('takes anything that can be thrown', () => {
    const isMeant = matcher({}, RETRIED_BY_DEFAULT);
    expect([undefined, null, 'text', 7, Symbol('s')].map(isMeant)).toEqual([true, true, true, true, true]);
    const unreadable = {
      get code(): string {
        throw new Error('not readable');
      },
    };
    expect(isMeant(unreadable)).toBe(true);
    expect(matcher({ codes: ['x'] }, RETRIED_BY_DEFAULT)(unreadable)).toBe(false);
    expect(matcher({ retryableOnly: true }, RETRIED_BY_DEFAULT)(unreadable)).toBe(false);
    const named = matcher({ codes: ['x'], statuses: [503] }, RETRIED_BY_DEFAULT);
    expect([undefined, null, 'text'].map(named)).toEqual([false, false, false]);
  });
});

describe('an error match', () => {
  it('takes codes, names and statuses for alternatives', () => {
    expect(meant({ codes: ['ECONNRESET'], rejections: [] })).toEqual(['reset']);
    expect(meant({ names: ['TypeError', 'AbortError'], rejections: [] })).toEqual(['plain', 'aborted']);
    expect(meant({ statuses: [502, 503], rejections: [] })).toEqual(['busy', 'badGateway']);
    expect(meant({ codes: ['ECONNRESET'], statuses: [502], rejections: [] })).toEqual([
      'reset',
      'badGateway',
    ]);
  });

  it('with an empty list means no error of the action', () => {
    expect(meant({ codes: [] })).toEqual(['timedOut', 'chaos']);
  });

  it('for a retry means a final error that it names', () => {
    expect(meant({ codes: ['refused'], rejections: [] }, RETRIED_BY_DEFAULT)).toEqual(['refused']);
  });

  it('judges rejections by their strategy alone', () => {
    expect(meant({ statuses: [503, 504], rejections: ['circuit-breaker'] })).toEqual(['open', 'busy']);
    expect(meant({ codes: [], rejections: ['circuit-breaker', 'bulkhead'] })).toEqual(['open', 'full']);
  });

  it('never lets a retry take a breaker that was isolated by hand', () => {
    const match = { rejections: ['circuit-breaker' as const] };
    expect(matcher(match, RETRIED_BY_DEFAULT)(circuitIsolated('p', ''))).toBe(false);
    expect(matcher(match, REPLACED_BY_DEFAULT)(circuitIsolated('p', ''))).toBe(true);
  });

  it('leaves out what notCodes names, whatever else is said', () => {
    expect(meant({ notCodes: ['busy', 'call-timeout'], codes: ['busy', 'ECONNRESET'] })).toEqual([
      'chaos',
      'reset',
    ]);
  });

  it('means only what says that it is retryable, if so asked', () => {
    expect(meant({ retryableOnly: true })).toEqual(['timedOut', 'chaos', 'busy']);
  });

  it('says which strategies’ rejections it means', () => {
    expect(handledRejections({}, RETRIED_BY_DEFAULT)).toEqual(['timeout', 'chaos']);
    expect(handledRejections({ rejections: ['bulkhead'] }, RETRIED_BY_DEFAULT)).toEqual(['bulkhead']);
  });
});

describe('a rejection of another policy', () => {
  const nested = (match: ErrorMatch, defaults: ErrorMatchDefaults, error: unknown): boolean =>
    compileErrorMatch(match, defaults)(error, undefined);

  it('is an error of the action: judged by what it says of itself, whatever is said of rejections', () => {
    expect(nested({}, FAILURE_BY_DEFAULT, open)).toBe(true);
    expect(nested({ rejections: [] }, FAILURE_BY_DEFAULT, timedOut)).toBe(true);
    expect(nested({}, RETRIED_BY_DEFAULT, open)).toBe(true);
    expect(nested({ rejections: ['circuit-breaker'] }, RETRIED_BY_DEFAULT, circuitIsolated('q', ''))).toBe(
      false,
    );
    expect(nested({ codes: ['circuit-open'] }, RETRIED_BY_DEFAULT, open)).toBe(true);
    expect(nested({ codes: ['other'], rejections: ['circuit-breaker'] }, RETRIED_BY_DEFAULT, open)).toBe(
      false,
    );
  });

  it('says which policy and strategy it is of', () => {
    expect([rejectingPolicy(full), rejectingStrategy(full)]).toEqual(['p', 'bulkhead']);
    expect([rejectingPolicy(busy), rejectingPolicy(null)]).toEqual([undefined, undefined]);
  });
});
