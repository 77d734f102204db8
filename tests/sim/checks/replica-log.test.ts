// What the checks hold for durable. Wrong books find faults where there are none, or none where there are.

import { describe, expect, it } from 'vitest';
import { ReplicaLog } from './replica-log.js';

const entry = (index: number, term: number) => ({
  index,
  term,
  type: 'normal' as const,
  data: new Uint8Array(0),
});

function written(log: ReplicaLog, ...entries: ReturnType<typeof entry>[]): void {
  log.take(
    { entries, hardState: undefined, snapshot: undefined },
    entries.map(() => 0),
  );
}

describe('the books on a log', () => {
  it('know what a later write has replaced, and that it is there no more', () => {
    const log = new ReplicaLog();
    written(log, entry(1, 1), entry(2, 1), entry(3, 1));
    written(log, entry(2, 2));
    expect([log.holds(2, 1), log.held(2, 1), log.holds(3, 1), log.held(3, 1)]).toEqual([
      false,
      true,
      false,
      true,
    ]);
    expect([log.holds(2, 2), log.held(2, 2)]).toEqual([true, true]);
  });

  it('do not take for durable what never was', () => {
    const log = new ReplicaLog();
    written(log, entry(1, 1));
    expect([log.held(1, 2), log.held(2, 1)]).toEqual([false, false]);
  });
});
