// Given the replicas that are left of a group.

import { expect, it } from 'vitest';
import type { NodeId } from '../../raft/types.js';
import { planRecovery, type Survivor } from './recovery-plan.js';

const conf = {
  voters: ['n1', 'n2', 'n3'],
  votersOutgoing: [],
  learners: ['l1'],
  learnersNext: [],
  witnesses: [],
  autoLeave: false,
};

function left(node: NodeId, fields: Partial<Survivor> = {}): Survivor {
  return { node, term: 4, lastTerm: 3, lastIndex: 10, commit: 9, lastApplied: 9, conf, ...fields };
}

it('nothing is recovered while a majority can be reached, though nobody leads', () => {
  expect(() => planRecovery('g', [left('n1'), left('n2')])).toThrow(
    expect.objectContaining({ code: 'group-not-lost' }),
  );
});

it('nothing is recovered while a survivor hears of a leader', () => {
  expect(() => planRecovery('g', [left('n1', { leader: 'n2' })])).toThrow(
    expect.objectContaining({ code: 'group-not-lost' }),
  );
});

it('in a joint membership a majority of either half that is gone is a group that is lost', () => {
  const joint = { ...conf, votersOutgoing: ['n4', 'n5', 'n6'] };
  const survivors = ['n1', 'n2', 'n3', 'n4'].map((node) => left(node, { conf: joint }));
  expect(planRecovery('g', survivors).lost).toEqual(['n5', 'n6']);
});

it('the survivor whose log is newest goes on, by term first, be it a learner', () => {
  const older = left('n1', { lastTerm: 3, lastIndex: 20 });
  expect(planRecovery('g', [older, left('l1', { lastTerm: 4, lastIndex: 8 })]).chosen).toBe('l1');
  expect(planRecovery('g', [older, left('l1', { lastTerm: 3, lastIndex: 19 })]).chosen).toBe('n1');
});

it('a witness cannot go on: it has no data', () => {
  const witnessed = { ...conf, witnesses: ['n1'] };
  expect(() => planRecovery('g', [left('n1', { conf: witnessed })])).toThrow(
    expect.objectContaining({ code: 'recovery-impossible' }),
  );
});
