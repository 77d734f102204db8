// Calls under way, coming and going in any order.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Call, CallPath } from './call.js';
import { beginCall } from './call.js';
import { CallsUnderWay } from './calls-under-way.js';

it('knows those that have not ended, whatever the order in which they end', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 20 }), { maxLength: 40 }), (steps) => {
      const underWay = new CallsUnderWay();
      const path: CallPath = { layers: [], givesUp: false, ended: (call) => underWay.delete(call) };
      const live: Call[] = [];
      for (const step of steps) {
        if (step < 12) {
          const call = beginCall(path, '', () => new Promise(() => {}), 0);
          void call.promise().catch(() => {});
          underWay.add(call);
          live.push(call);
        } else live.splice(step % Math.max(1, live.length), 1)[0]?.cancel(new Error('gone'));
        expect(underWay.size).toBe(live.length);
      }
      expect(underWay.giveUp(new Error('stopped'), 2)).toBe(Math.max(0, live.length - 2));
      expect(underWay.giveUp(new Error('stopped'), 1_000)).toBe(0);
      expect(live.every((call) => call.ended)).toBe(true);
    }),
    { numRuns: 100 },
  );
});

it('is not held up by a call whose end nobody hears of', () => {
  const underWay = new CallsUnderWay();
  const path: CallPath = { layers: [], givesUp: false, ended: () => {} };
  const call = beginCall(path, '', () => new Promise(() => {}), 0);
  void call.promise().catch(() => {});
  underWay.add(call);
  expect(underWay.giveUp(new Error('stopped'), 5)).toBe(0);
});
