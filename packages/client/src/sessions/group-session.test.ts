// Places in a session: each once, and never said to be answered before it is.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GroupSession, MAX_OPEN_PLACES } from './group-session.js';

describe('a session', () => {
  it('gives each place once, and says of no open place that it is answered', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 20 }), { maxLength: 200 }), (steps) => {
        const session = new GroupSession(1);
        const open: number[] = [];
        const given = new Set<number>();
        for (const step of steps) {
          if (step < 10 || open.length === 0) {
            const place = session.take();
            expect(given.has(place)).toBe(false);
            given.add(place);
            open.push(place);
          } else {
            session.settle(open.splice(step % open.length, 1)[0]!);
          }
          const { lowestOpen } = session.stamp(1);
          expect(lowestOpen).toBe(open.length === 0 ? given.size + 1 : Math.min(...open));
          expect(session.size).toBe(open.length);
        }
      }),
    );
  });

  it('takes no more while its lowest open place is far behind', () => {
    const session = new GroupSession(1);
    const first = session.take();
    for (let n = 1; n < MAX_OPEN_PLACES; n++) session.settle(session.take());
    expect(session.hasRoom).toBe(false);
    session.settle(first);
    expect(session.hasRoom).toBe(true);
  });
});
