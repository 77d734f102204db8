import { describe, expect, it } from 'vitest';
import { isDwError } from '../errors/index.js';
import { LimitSet, STANDARD_LIMITS } from './limit-set.js';

const own = {
  ratio: { unit: 'ratio', min: 0, max: 1, default: 0.5, description: 'a fraction', integer: false },
  maxBatch: { unit: 'records', min: 1, max: 10, default: 5, description: 'records of a batch' },
};

function thrownBy(action: () => unknown): unknown {
  try {
    action();
  } catch (thrown) {
    return thrown;
  }
  return undefined;
}

describe('LimitSet', () => {
  it('starts with the four standard limits and its own at their defaults', () => {
    const limits = new LimitSet(own);
    expect(limits.current).toEqual({
      maxCacheEntries: 10_000,
      maxMemoryBytes: 100 * 1024 * 1024,
      maxConcurrentOperations: 64,
      maxQueueDepth: 1_000,
      ratio: 0.5,
      maxBatch: 5,
    });
    expect(Object.keys(STANDARD_LIMITS)).toHaveLength(4);
  });

  it('lets a subsystem replace a standard limit', () => {
    const limits = new LimitSet({ maxQueueDepth: { ...STANDARD_LIMITS.maxQueueDepth, default: 7 } });
    expect(limits.current.maxQueueDepth).toBe(7);
  });

  it('applies what is named, leaves the rest, and says what was before', () => {
    const limits = new LimitSet(own);
    expect(limits.apply({ maxBatch: 9, ratio: 0.25 })).toEqual({
      applied: { maxBatch: 9, ratio: 0.25 },
      previous: { maxBatch: 5, ratio: 0.5 },
    });
    expect(limits.current).toMatchObject({ maxBatch: 9, ratio: 0.25, maxQueueDepth: 1_000 });
    expect(limits.get('maxBatch')).toBe(9);
  });

  it.each([
    ['below the minimum', { maxBatch: 0 }],
    ['above the maximum', { maxBatch: 11 }],
    ['a fraction where whole numbers are wanted', { maxBatch: 1.5 }],
    ['NaN', { maxBatch: Number.NaN }],
    ['NaN in a fraction', { ratio: Number.NaN }],
    ['infinity', { ratio: Number.POSITIVE_INFINITY }],
    ['a text', { maxBatch: '5' }],
    ['null', { maxBatch: null }],
    ['an object', { maxBatch: {} }],
  ])('refuses %s and changes nothing, also not the good values beside it', (_what, bad) => {
    const limits = new LimitSet(own);
    const before = limits.current;
    const thrown = thrownBy(() => limits.apply({ maxQueueDepth: 5, ...bad } as Record<string, number>));
    expect(isDwError(thrown, 'limit-out-of-range')).toBe(true);
    expect(thrown).toMatchObject({ status: 422 });
    expect(limits.current).toBe(before);
  });

  it('names the limit, the value, the range and the unit', () => {
    const thrown = thrownBy(() => new LimitSet(own, 'shipper').check({ maxBatch: 11 })) as Error;
    expect(thrown.message).toBe(
      'limit maxBatch of shipper cannot be 11: it must be a whole number from 1 to 10 (records)',
    );
  });

  it.each(['nothing', '__proto__', 'constructor', 'toString'])('does not know %s', (name) => {
    const limits = new LimitSet(own);
    const values = JSON.parse(`{"${name}": 1}`) as Record<string, number>;
    expect(
      isDwError(
        thrownBy(() => limits.check(values)),
        'limit-unknown',
      ),
    ).toBe(true);
    expect(
      isDwError(
        thrownBy(() => limits.get(name)),
        'limit-unknown',
      ),
    ).toBe(true);
  });

  it.each([null, undefined, [1], 5, 'x'])('refuses %j in place of an object', (values) => {
    expect(
      isDwError(
        thrownBy(() => new LimitSet().check(values)),
        'limit-unknown',
      ),
    ).toBe(true);
  });

  it('tells listeners until they are disposed of', () => {
    const limits = new LimitSet(own);
    const seen: unknown[] = [];
    const listening = limits.onChanged((change, current) => seen.push([change.applied, current.maxBatch]));
    limits.apply({ maxBatch: 2 });
    listening[Symbol.dispose]();
    limits.apply({ maxBatch: 3 });
    expect(seen).toEqual([[{ maxBatch: 2 }, 2]]);
  });

  it('takes a change back when a listener throws, and tells those that acted on it', () => {
    const limits = new LimitSet(own, 'shipper');
    let acted = 0;
    limits.onChanged((change) => {
      acted = change.applied['maxBatch'] ?? 0;
    });
    limits.onChanged((change) => {
      if (change.applied['maxBatch'] === 9) throw new Error('no room');
    });
    const thrown = thrownBy(() => limits.apply({ maxBatch: 9 }));
    expect(isDwError(thrown, 'limit-apply-failed')).toBe(true);
    expect((thrown as Error).cause).toMatchObject({ message: 'no room' });
    expect(acted).toBe(5);
    expect(limits.get('maxBatch')).toBe(5);
  });

  it('refuses a descriptor whose default its own range does not allow', () => {
    const broken = { x: { unit: 'ms', min: 1, max: 2, default: 3, description: '' } };
    expect(
      isDwError(
        thrownBy(() => new LimitSet(broken)),
        'limit-descriptor-invalid',
      ),
    ).toBe(true);
    const upside = { x: { unit: 'ms', min: 2, max: 1, default: 1, description: '' } };
    expect(
      isDwError(
        thrownBy(() => new LimitSet(upside)),
        'limit-descriptor-invalid',
      ),
    ).toBe(true);
  });
});
