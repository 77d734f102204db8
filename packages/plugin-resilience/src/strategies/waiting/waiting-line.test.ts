import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Call } from '../../engine/call.js';
import type { Waiter } from './waiting-line.js';
import { WaitingLine, WaitingRoom } from './waiting-line.js';

function callOf(priority: number): Call {
  const path = { layers: [], givesUp: false, ended: () => {} };
  return new Call(
    path,
    '',
    () => {},
    { priority },
    0,
    () => {},
    0,
  );
}

const steps = fc.array(
  fc.record({
    do: fc.constantFrom('push', 'push', 'shift', 'remove'),
    line: fc.nat({ max: 1 }),
    priority: fc.integer({ min: -2, max: 2 }),
    which: fc.nat(),
  }),
  { maxLength: 200 },
);

describe('a waiting line', () => {
  it('is what a list sorted by priority and arrival is, whoever leaves from wherever', () => {
    fc.assert(
      fc.property(steps, (schedule) => {
        const room = new WaitingRoom();
        const lines = [new WaitingLine(room), new WaitingLine(room)] as const;
        const models: [Waiter[], Waiter[]] = [[], []];
        let now = 0;
        for (const step of schedule) {
          now += 1;
          const line = lines[step.line] as WaitingLine;
          const model = models[step.line] as Waiter[];
          if (step.do === 'push') {
            model.push(line.push(callOf(step.priority), 0, now));
            model.sort((one, other) => other.priority - one.priority || one.order - other.order);
          } else if (step.do === 'shift') expect(line.shift()).toBe(model.shift());
          else if (model.length > 0) {
            const [gone] = model.splice(step.which % model.length, 1);
            expect(line.remove(gone as Waiter)).toBe(true);
            expect(line.remove(gone as Waiter)).toBe(false);
          }
          const all = models.flat();
          expect([line.size, room.size]).toEqual([model.length, all.length]);
          const since = Math.min(...all.map((waiter) => waiter.since));
          expect(room.oldestWaitMs(now)).toBe(all.length === 0 ? 0 : now - since);
        }
      }),
      { numRuns: 200 },
    );
  });
});
