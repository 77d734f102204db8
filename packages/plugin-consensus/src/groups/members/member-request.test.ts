// A request is checked whole, and what is done already is not done again.

import { describe, expect, it } from 'vitest';
import type { ConfState } from '../../raft/types.js';
import type { MemberRequest } from './member-request.js';
import { planMembers, viewOf } from './member-request.js';

const CONF: ConfState = {
  voters: ['n1', 'n2', 'n3', 'w1'],
  votersOutgoing: [],
  learners: ['n4'],
  learnersNext: [],
  witnesses: ['w1'],
  autoLeave: false,
};
const KNOWN = new Set(['n1', 'n2', 'n3', 'n4', 'n5', 'n6', 'w1', 'w2']);
const plan = (request: Partial<MemberRequest>, conf = CONF, leader = 'n1') =>
  planMembers(
    'g',
    conf,
    { add: [], addLearners: [], addWitnesses: [], remove: [], ...request },
    KNOWN,
    leader,
  );

describe('a plan', () => {
  it('lets a new voter learn first and changes all votes in one step', () => {
    expect(plan({ add: ['n4', 'n5'], addWitnesses: ['w2'], remove: ['n2', 'w1'] })).toEqual({
      open: ['n5', 'w2'],
      learn: ['n5'],
      promote: ['n4', 'n5'],
      change: [
        { type: 'add-voter', nodeId: 'n4' },
        { type: 'add-voter', nodeId: 'n5' },
        { type: 'add-witness', nodeId: 'w2' },
        { type: 'remove', nodeId: 'n2' },
        { type: 'remove', nodeId: 'w1' },
      ],
      removesLeader: false,
      removed: ['n2', 'w1'],
    });
  });

  it('leaves the removal of the leader to the next one', () => {
    expect(plan({ remove: ['n1'] })).toMatchObject({ change: [], removesLeader: true, removed: ['n1'] });
  });

  it('does nothing for what is so already', () => {
    const empty = { open: [], learn: [], promote: [], change: [], removesLeader: false, removed: [] };
    expect(plan({ add: ['n1'], addLearners: ['n4'], addWitnesses: ['w1'], remove: ['n5'] })).toEqual(empty);
  });
});

describe('a request is refused that', () => {
  const refused: readonly (readonly [string, Partial<MemberRequest>, RegExp])[] = [
    ['names nobody', {}, /no node is named/],
    ['names a node twice', { add: ['n5'], remove: ['n5'] }, /n5 is named twice/],
    ['names a stranger', { addLearners: ['n9'] }, /n9 is no node of the cluster/],
    ['leaves nobody with data', { remove: ['n1', 'n2', 'n3'] }, /nobody who votes and has the data/],
    ['leaves as many witnesses as voters with data', { remove: ['n2', 'n3'] }, /would not be a majority/],
    ['adds too many witnesses', { addWitnesses: ['w2', 'n6'] }, /would not be a majority/],
    ['makes a voter learn', { addLearners: ['n2'] }, /n2 votes/],
    ['gives a witness data', { add: ['w1'] }, /w1 is a witness/],
    ['takes the data of a voter', { addWitnesses: ['n2'] }, /n2 has the data/],
    ['names too many', { remove: Array.from({ length: 65 }, (_, n) => `x${n}`) }, /more than 64/],
  ];
  it.each(refused)('%s', (_, request, message) => {
    expect(() => plan(request)).toThrow(expect.objectContaining({ code: 'members-invalid', status: 422 }));
    expect(() => plan(request)).toThrow(message);
  });

  it('comes between two memberships', () => {
    expect(() => plan({ add: ['n5'] }, { ...CONF, votersOutgoing: ['n1'] })).toThrow(/not completed/);
  });
});

it('a view shows who votes, who learns, and who is a witness', () => {
  expect(viewOf('g', CONF)).toEqual({
    id: 'g',
    voters: ['n1', 'n2', 'n3', 'w1'],
    learners: ['n4'],
    witnesses: ['w1'],
  });
});
