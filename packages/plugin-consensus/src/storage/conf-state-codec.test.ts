import { describe, expect, it } from 'vitest';
import { readConfState } from './conf-state-codec.js';

const old = {
  voters: ['a', 'b'],
  votersOutgoing: ['c'],
  learners: ['d'],
  learnersNext: ['c'],
  autoLeave: true,
};

describe('a stored membership', () => {
  it('has no witnesses when it was stored before there were any', () => {
    expect(readConfState(old)).toEqual({ ...old, witnesses: [] });
  });

  it('is read back whole', () => {
    expect(readConfState({ ...old, witnesses: ['b'] })).toEqual({ ...old, witnesses: ['b'] });
  });

  it.each([
    undefined,
    null,
    'a',
    { ...old, voters: 'a' },
    { ...old, learners: [1] },
    { ...old, witnesses: 'b' },
    { ...old, witnesses: [undefined] },
    { ...old, autoLeave: 1 },
  ])('is refused when it is %j', (value) => {
    expect(readConfState(value)).toBeUndefined();
  });
});
