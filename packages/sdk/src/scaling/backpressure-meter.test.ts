import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BackpressureMeter } from './backpressure-meter.js';

describe('BackpressureMeter', () => {
  it('rises at 70, 85 and 95 of 100', () => {
    const meter = new BackpressureMeter({ limit: 100 });
    const seen = [0, 69, 70, 84, 85, 94, 95, 200].map((depth) => meter.update(depth));
    expect(seen).toEqual([
      'normal',
      'normal',
      'warning',
      'warning',
      'critical',
      'critical',
      'shedding',
      'shedding',
    ]);
  });

  it('leaves a state only 5 below the threshold that led to it', () => {
    const meter = new BackpressureMeter({ limit: 100 });
    meter.update(70);
    expect(meter.update(65)).toBe('warning');
    expect(meter.update(64)).toBe('normal');
    expect(meter.update(69)).toBe('normal');
  });

  it('falls through several states at once', () => {
    const meter = new BackpressureMeter({ limit: 100 });
    meter.update(100);
    expect(meter.update(0)).toBe('normal');
  });

  it('tells its listeners once for each change, until they are disposed of', () => {
    const meter = new BackpressureMeter({ limit: 10 });
    const seen: string[] = [];
    const listening = meter.onChanged((previous, current) => seen.push(`${previous}>${current}`));
    for (const depth of [1, 7, 7, 10, 0]) meter.update(depth);
    listening[Symbol.dispose]();
    meter.update(10);
    expect(seen).toEqual(['normal>warning', 'warning>shedding', 'shedding>normal']);
  });

  it('judges the same depth anew when the limit changes', () => {
    const meter = new BackpressureMeter({ limit: 100 });
    meter.update(50);
    expect(meter.setLimit(50)).toBe('shedding');
    expect(meter.setLimit(1_000)).toBe('normal');
  });

  it('refuses a limit of 0 and thresholds that do not rise', () => {
    expect(() => new BackpressureMeter({ limit: 0 })).toThrow(RangeError);
    const thresholds = { warning: 0.9, critical: 0.8, shedding: 0.95 };
    expect(() => new BackpressureMeter({ limit: 1, thresholds })).toThrow(RangeError);
  });

  it('is never below the state that the depth alone asks for, nor above the one that hysteresis allows', () => {
    const order = ['normal', 'warning', 'critical', 'shedding'];
    const plain = (ratio: number): number =>
      [0.7, 0.85, 0.95].filter((threshold) => ratio >= threshold).length;
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 120 }), { maxLength: 50 }), (depths) => {
        const meter = new BackpressureMeter({ limit: 100 });
        for (const depth of depths) {
          const level = order.indexOf(meter.update(depth));
          expect(level).toBeGreaterThanOrEqual(plain(depth / 100));
          expect(level).toBeLessThanOrEqual(plain(depth / 100 + 0.0500001));
        }
      }),
    );
  });
});
