import fc from 'fast-check';
import { isDwError } from '@datawarehouse/sdk';
import { describe, expect, it } from 'vitest';
import { Inflights } from './inflights.js';

describe('Inflights', () => {
  it('behaves like a list of appends, oldest first', () => {
    const command = fc.oneof(
      fc.record({ add: fc.integer({ min: 1, max: 50 }) }),
      fc.record({ free: fc.integer({ min: -3, max: 8 }) }),
    );
    fc.assert(
      fc.property(
        fc.array(command, { maxLength: 120 }),
        fc.integer({ min: 1, max: 20 }),
        fc.nat(200),
        (commands, max, bytes) => {
          const window = new Inflights(max, bytes);
          let model: { index: number; size: number }[] = [];
          let index = 0;
          for (const each of commands) {
            if ('add' in each) {
              if (window.full) continue;
              index++;
              window.add(index, each.add);
              model.push({ index, size: each.add });
            } else {
              const upTo = (model[0]?.index ?? 0) + each.free;
              window.freeUpTo(upTo);
              model = model.filter((append) => append.index > upTo);
            }
            const sum = model.reduce((total, append) => total + append.size, 0);
            expect(window.count).toBe(model.length);
            expect(window.full).toBe(model.length >= max || (bytes !== 0 && sum >= bytes));
          }
        },
      ),
    );
  });

  it('refuses an append when it is full', () => {
    const window = new Inflights(1, 0);
    window.add(5, 1);
    let thrown: unknown;
    try {
      window.add(6, 1);
    } catch (error) {
      thrown = error;
    }
    expect(isDwError(thrown, 'raft-invariant')).toBe(true);
  });

  it('is empty after a reset', () => {
    const window = new Inflights(2, 10);
    window.add(1, 10);
    expect(window.full).toBe(true);
    window.reset();
    expect([window.count, window.full]).toEqual([0, false]);
  });
});
