// A learner votes when a round took less than an election timeout, and is given up when it never gets there.

import { describe, expect, it } from 'vitest';
import { CatchUp } from './catch-up.js';

const at = (match: number) => ({ match, active: true, snapshot: false });

describe('a learner', () => {
  it('has caught up when it has what was there a moment ago', () => {
    const learner = new CatchUp(100, 0, 1_000);
    expect(learner.observe(at(50), 120, 500)).toEqual({ state: 'behind' });
    expect(learner.observe(at(100), 130, 900)).toEqual({ state: 'caught-up', rounds: 1 });
  });

  it('gets another round when the first one took long: much has been written since', () => {
    const learner = new CatchUp(100, 0, 1_000);
    expect(learner.observe(at(100), 500, 5_000)).toEqual({ state: 'behind' });
    expect(learner.observe(at(499), 510, 5_500)).toEqual({ state: 'behind' });
    expect(learner.observe(at(500), 510, 5_900)).toEqual({ state: 'caught-up', rounds: 2 });
  });

  it('is given up when the clients write faster than it takes in', () => {
    const learner = new CatchUp(100, 0, 1_000);
    for (let round = 1; round < 10; round++) {
      expect(learner.observe(at(round * 100), (round + 1) * 100, round * 5_000)).toEqual({ state: 'behind' });
    }
    expect(learner.observe(at(1_000), 2_000, 50_000)).toMatchObject({ state: 'given-up' });
  });

  it('is given up when nothing comes of it, but not while it takes a snapshot', () => {
    const silent = new CatchUp(100, 0, 1_000);
    expect(silent.observe(undefined, 100, 20_000)).toEqual({ state: 'behind' });
    expect(silent.observe(undefined, 100, 20_001)).toEqual({
      state: 'given-up',
      why: 'it does not answer for 20 s',
    });
    const stuck = new CatchUp(100, 0, 1_000);
    expect(stuck.observe(at(0), 100, 20_001)).toEqual({
      state: 'given-up',
      why: 'it takes nothing in for 20 s',
    });
    const large = new CatchUp(100, 0, 1_000);
    const taking = { match: 0, active: true, snapshot: true };
    for (let now = 0; now < 200_000; now += 10_000) {
      expect(large.observe(taking, 100, now)).toEqual({ state: 'behind' });
    }
  });
});
