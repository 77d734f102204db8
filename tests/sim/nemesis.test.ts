// The nemesis' books: whose data is lost. Wrong books take more than the protocol promises to survive, and then a run
// fails that nothing is wrong with.

import { describe, expect, it } from 'vitest';
import { Inode } from './world/inode.js';
import { Nemesis } from './world/nemesis.js';
import type { Victims } from './world/nemesis.js';
import { SimDisk } from './world/sim-disk.js';

/** A node that runs, has no replica of anything, and has not heard yet that it lacks one. */
function emptyNode(id: string, wiped: string[]): object {
  return {
    id,
    state: 'up',
    disk: { misdirectedLately: () => false, wipe: () => wiped.push(id) },
    life: { engine: { group: () => undefined }, replicas: { obstacle: undefined } },
    crash: () => {},
  };
}

describe('the nemesis', () => {
  it('does not take a wiped node without a replica for one that is back, where nothing is committed', () => {
    const wiped: string[] = [];
    let victim = 0;
    const nodes = ['n1', 'n2', 'n3'].map((id) => emptyNode(id, wiped));
    const nemesis = new Nemesis({
      nodes,
      scheduler: { now: 0, schedule: () => {} },
      trace: { note: () => {} },
      prng: { pick: (list: readonly unknown[]) => list[0], chance: () => true, wait: () => 1 },
      confs: () => [{ id: 'group-1', voters: ['n1', 'n2', 'n3'], learners: [], witnesses: [], commit: 0 }],
      expendable: 1,
      onWipe: () => {},
      leads: (node: unknown) => node === nodes[victim],
    } as unknown as Victims);
    nemesis.wipe();
    victim = 1;
    nemesis.wipe();
    expect(wiped).toEqual(['n1']);
    expect([...nemesis.gone]).toEqual(['n1']);
  });
});

describe('a simulated disk', () => {
  it('does not answer for what the one that it replaced did wrong', () => {
    const disk = new SimDisk('n1', ...([] as unknown as [never, never, never]));
    disk.misdirect(new Inode());
    disk.trouble.misdirectNextWrite = true;
    expect(disk.misdirectedLately()).toBe(true);
    disk.wipe();
    expect(disk.misdirectedLately()).toBe(false);
    expect(disk.trouble.misdirectNextWrite).toBe(false);
  });
});
