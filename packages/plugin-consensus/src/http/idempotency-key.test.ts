// The Idempotency-Key header: a plain key as it is, and the strict form that names a place in a session.

import { describe, expect, it } from 'vitest';
import { identityOf } from './idempotency-key.js';

describe('an idempotency key', () => {
  it('is taken as it is unless it names a session', () => {
    expect(identityOf(undefined)).toEqual({});
    for (const key of ['a', 'sessions/1', '01HZX session/1', 'x'.repeat(500)]) {
      expect(identityOf(key)).toEqual({ idempotencyKey: key });
    }
  });

  it('names a place in a session when it begins with session/', () => {
    expect(identityOf('session/group-1/17/3')).toEqual({
      session: { group: 'group-1', session: 17, sequence: 3, lowestWanted: 0 },
    });
    expect(identityOf('session/machine-a.b_c/1/9007199254740991/4')).toEqual({
      session: { group: 'machine-a.b_c', session: 1, sequence: Number.MAX_SAFE_INTEGER, lowestWanted: 4 },
    });
  });

  it('is refused when it begins so and names none', () => {
    const bad = [
      '',
      'group-1',
      'group-1/1',
      'group-1/1/',
      'group-1/1/-2',
      'group-1/1/2/3/4',
      '../1/2',
      'g/1/9007199254740992',
    ];
    for (const rest of bad) {
      expect(() => identityOf(`session/${rest}`)).toThrow(
        expect.objectContaining({ code: 'request-invalid' }),
      );
    }
  });
});
