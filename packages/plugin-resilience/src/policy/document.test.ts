import { Type, isDwError } from '@datawarehouse/sdk';
import { describe, expect, it } from 'vitest';
import { readPolicyDocument } from './document.js';
import type { StrategySchemas } from './strategy-schemas.js';

const common = {
  name: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
  dryRun: Type.Boolean({ default: false }),
};
const SCHEMAS: StrategySchemas = {
  timeout: Type.Object(
    { type: Type.Literal('timeout'), ...common, timeoutMs: Type.Integer({ minimum: 1, default: 30_000 }) },
    { additionalProperties: false },
  ),
  fallback: Type.Object(
    { type: Type.Literal('fallback'), ...common, value: Type.Optional(Type.Unknown()) },
    { additionalProperties: false },
  ),
};

function problemsOf(value: unknown): readonly string[] {
  try {
    readPolicyDocument(value, SCHEMAS);
    return [];
  } catch (thrown) {
    if (!isDwError(thrown, 'policy-invalid')) throw thrown;
    expect(thrown.status).toBe(422);
    return thrown.details?.['problems'] as readonly string[];
  }
}

describe('a policy document', () => {
  it('is given back frozen, with the defaults of its strategies', () => {
    const given = { name: 'a.b-1', strategies: [{ type: 'timeout' }, { type: 'fallback', value: [1] }] };
    const document = readPolicyDocument(given, SCHEMAS);
    expect(document).toEqual({
      name: 'a.b-1',
      strategies: [
        { type: 'timeout', dryRun: false, timeoutMs: 30_000 },
        { type: 'fallback', dryRun: false, value: [1] },
      ],
    });
    expect(Object.isFrozen(document.strategies[1])).toBe(true);
    // What the caller does with its own object afterwards is its own affair.
    given.strategies.length = 0;
    expect(document.strategies).toHaveLength(2);
  });

  it('may have no strategies: its calls are counted and nothing else', () => {
    expect(problemsOf({ name: 'x', strategies: [] })).toEqual([]);
  });

  it.each([
    [undefined, 'the document must be an object, not nothing'],
    [null, 'the document must be an object, not null'],
    [[], 'the document must be an object, not []'],
    [{ strategies: [] }, 'name is missing'],
    [{ name: '', strategies: [] }, 'name must have 1 to 128 characters, not 0'],
    [{ name: 'x'.repeat(129), strategies: [] }, 'name must have 1 to 128 characters, not 129'],
    [
      { name: 'A b', strategies: [] },
      'name must match ^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$, which "A b" does not',
    ],
    [{ name: 'x' }, 'strategies is missing'],
    [{ name: 'x', strategies: {} }, 'strategies must be a list, not {}'],
    [
      { name: 'x', strategies: Array.from({ length: 17 }, () => ({ type: 'timeout' })) },
      'strategies must have at most 16 entries, not 17',
    ],
    [{ name: 'x', strategies: [{}] }, 'strategies[0].type must be one of timeout, fallback'],
    [{ name: 'x', strategies: [null] }, 'strategies[0].type must be one of timeout, fallback'],
    [
      { name: 'x', strategies: [{ type: 'toString' }] },
      'strategies[0].type must be one of timeout, fallback, not "toString"',
    ],
    [
      { name: 'x', strategies: [], extra: 1 },
      'extra is not a known field; allowed are name, description, adaptive, strategies',
    ],
  ])('%j is refused', (value, problem) => {
    expect(problemsOf(value)).toEqual([problem]);
  });

  it('tells all its problems at once', () => {
    const strategies = [{ type: 'timeout', timeoutMs: 0 }, { type: 'none' }];
    expect(problemsOf({ name: '-', strategies })).toEqual([
      'name must match ^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$, which "-" does not',
      'strategies[0].timeoutMs must be a whole number of at least 1, not 0',
      'strategies[1].type must be one of timeout, fallback, not "none"',
    ]);
  });

  it('asks for a name where two strategies would go by the same', () => {
    expect(problemsOf({ name: 'x', strategies: [{ type: 'timeout' }, { type: 'timeout' }] })).toEqual([
      'strategies[1].name must tell it apart: strategies[0] is called "timeout", too',
    ]);
    const named = [{ type: 'timeout', name: 'total' }, { type: 'timeout' }];
    expect(problemsOf({ name: 'x', strategies: named })).toEqual([]);
  });

  it('adapts with every option at its default, or as it says, and not at all unless it is asked to', () => {
    const read = (adaptive?: unknown) =>
      readPolicyDocument(
        { name: 'x', strategies: [], ...(adaptive === undefined ? {} : { adaptive }) },
        SCHEMAS,
      ).adaptive;
    expect(read()).toBeUndefined();
    expect(read(true)).toMatchObject({ enabled: true, intervalMs: 30_000, emaAlpha: 0.3, minSamples: 10 });
    expect(read({ intervalMs: 5_000 })).toMatchObject({ enabled: true, intervalMs: 5_000, maxFailures: 50 });
    expect(read(false)).toMatchObject({ enabled: false });
    expect(problemsOf({ name: 'x', strategies: [], adaptive: { intervalMs: 1, every: 3 } })).toEqual([
      expect.stringContaining('adaptive.every is not a known field'),
      'adaptive.intervalMs must be a whole number from 1000 to 3600000, not 1',
    ]);
    const crossed = { minConcurrency: 20, maxConcurrency: 10, healthyErrorRate: 0.5 };
    expect(problemsOf({ name: 'x', strategies: [], adaptive: crossed })).toEqual([
      'adaptive.healthyErrorRate must not be above adaptive.criticalErrorRate: 0.5 is above 0.05',
      'adaptive.minConcurrency must not be above adaptive.maxConcurrency: 20 is above 10',
    ]);
    expect(problemsOf({ name: 'x', strategies: [], adaptive: 'yes' })).toEqual([
      'adaptive must be a boolean or an object, not "yes"',
    ]);
  });

  it('is plain data of a bounded size, and nothing else', () => {
    const cyclic: Record<string, unknown> = { name: 'x', strategies: [] };
    cyclic['self'] = cyclic;
    expect(problemsOf(cyclic)[0]).toContain('not plain JSON data');
    const large = { name: 'x', strategies: [{ type: 'fallback', value: 'v'.repeat(65_536) }] };
    expect(problemsOf(large)[0]).toContain('at most 65536 are allowed');
    for (const [depth, why] of [
      [100_000, 'not plain JSON data'],
      [31, 'nested deeper than 32 levels'],
    ] as const) {
      let value: unknown = 1;
      for (let n = 0; n < depth; n++) value = [value];
      expect(problemsOf({ name: 'x', strategies: [{ type: 'fallback', value }] })[0]).toContain(why);
    }
  });
});
