import { Type } from '@datawarehouse/sdk';
import { describe, expect, it } from 'vitest';
import { checkValue } from './check-value.js';

const OPTIONS = Type.Object(
  {
    type: Type.Literal('thing'),
    size: Type.Integer({ minimum: 1, maximum: 10, default: 3 }),
    rate: Type.Number({ exclusiveMinimum: 0, maximum: 1, default: 0.5 }),
    mode: Type.Union([Type.Literal('fast'), Type.Literal('slow')], { default: 'fast' }),
    window: Type.Union(
      [
        Type.Object(
          { kind: Type.Literal('count'), size: Type.Integer({ minimum: 1, default: 100 }) },
          { additionalProperties: false },
        ),
        Type.Object(
          { kind: Type.Literal('time'), durationMs: Type.Integer({ minimum: 1, default: 60_000 }) },
          { additionalProperties: false },
        ),
      ],
      { default: { kind: 'count' } },
    ),
    budget: Type.Union(
      [
        Type.Object(
          { ratio: Type.Number({ minimum: 0, maximum: 1, default: 0.2 }) },
          { additionalProperties: false },
        ),
        Type.Null(),
        Type.Literal(false),
      ],
      { default: {} },
    ),
    codes: Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 4 }), { maxItems: 2 })),
    on: Type.Boolean({ default: false }),
    value: Type.Optional(Type.Unknown()),
  },
  { additionalProperties: false },
);

const problemsOf = (value: unknown): string[] => {
  const checked = checkValue(OPTIONS, value, 'strategies[0]');
  return checked.ok ? [] : checked.problems;
};

describe('a value that is checked', () => {
  it('gets the defaults of what is left out, also within what is given', () => {
    const given = { type: 'thing', window: { kind: 'time' }, value: { any: [1, null] } };
    expect(checkValue(OPTIONS, given)).toEqual({
      ok: true,
      value: {
        type: 'thing',
        size: 3,
        rate: 0.5,
        mode: 'fast',
        window: { kind: 'time', durationMs: 60_000 },
        budget: { ratio: 0.2 },
        on: false,
        value: { any: [1, null] },
      },
    });
    expect(given).toEqual({ type: 'thing', window: { kind: 'time' }, value: { any: [1, null] } });
  });

  it('takes each branch of a union of unlike things', () => {
    for (const budget of [null, false, { ratio: 1 }]) {
      expect(checkValue(OPTIONS, { type: 'thing', budget })).toMatchObject({ ok: true, value: { budget } });
    }
  });

  it.each([
    [[], 'strategies[0] must be an object, not []'],
    [{}, 'strategies[0].type is missing; it must be "thing"'],
    [{ type: 'other' }, 'strategies[0].type must be "thing", not "other"'],
    [{ type: 'thing', size: 0 }, 'strategies[0].size must be a whole number from 1 to 10, not 0'],
    [{ type: 'thing', size: 2.5 }, 'strategies[0].size must be a whole number from 1 to 10, not 2.5'],
    [{ type: 'thing', size: '2' }, 'strategies[0].size must be a whole number from 1 to 10, not "2"'],
    [{ type: 'thing', rate: 0 }, 'strategies[0].rate must be a number above 0 and of at most 1, not 0'],
    [{ type: 'thing', mode: 'no' }, 'strategies[0].mode must be "fast" or "slow", not "no"'],
    [{ type: 'thing', on: 1 }, 'strategies[0].on must be boolean, not 1'],
    [
      { type: 'thing', window: { kind: 'no' } },
      'strategies[0].window must be an object whose kind is "count" or "time", not "no"',
    ],
    [
      { type: 'thing', window: { kind: 'time', size: 3 } },
      'strategies[0].window.size is not a known field; allowed are kind, durationMs',
    ],
    [{ type: 'thing', budget: true }, 'strategies[0].budget must be an object, null or false, not true'],
    [
      { type: 'thing', budget: { ratio: 2 } },
      'strategies[0].budget.ratio must be a number from 0 to 1, not 2',
    ],
    [{ type: 'thing', codes: ['12345'] }, 'strategies[0].codes[0] must have 1 to 4 characters, not 5'],
    [{ type: 'thing', codes: ['a', 'b', 'c'] }, 'strategies[0].codes must have at most 2 entries, not 3'],
  ])('%j is refused by a sentence that names the field and what is allowed', (value, problem) => {
    expect(problemsOf(value)).toEqual([problem]);
  });

  it('has all its problems told at once, up to a bound', () => {
    expect(problemsOf({ type: 'thing', size: 0, Rate: 1 })).toEqual([
      'strategies[0].Rate is not a known field; allowed are type, size, rate, mode, window, budget, codes, on, value; did you mean rate?',
      'strategies[0].size must be a whole number from 1 to 10, not 0',
    ]);
    const many = Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`f${n}`, 1]));
    expect(problemsOf({ type: 'thing', ...many })).toHaveLength(20);
  });

  it('is not fooled by names that every object has', () => {
    expect(problemsOf(JSON.parse('{"type":"thing","__proto__":{"size":3},"toString":1}'))).toHaveLength(2);
  });
});
