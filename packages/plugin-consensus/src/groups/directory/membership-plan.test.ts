// Who replaces a node that retires, and what a new node is taken for.

import { describe, expect, it } from 'vitest';
import { groupOf, nodeOf } from './directory.test.kit.js';
import type { DirectoryView, NodeState } from './directory-types.js';
import { groupsLostWithout, planMembership } from './membership-plan.js';

const all = (): boolean => true;

/** Nodes as `n1`, `+n4` (new), `-n2` (retiring), `?n5` (never ran); groups by their voters. */
function view(nodes: string, groups: Record<string, string>, votersPerGroup = 3): DirectoryView {
  const states: Readonly<Record<string, NodeState>> = { '+': 'new', '-': 'retiring' };
  return {
    version: 9,
    votersPerGroup,
    nodes: nodes.split(' ').map((text) => {
      const id = text.replace(/^[-+?]/, '');
      const storageId = text.startsWith('?') ? null : `disk-${id}`;
      return { ...nodeOf(Number(id.slice(1))), state: states[text[0] ?? ''] ?? 'member', storageId };
    }),
    groups: Object.entries(groups).map(([id, voters]) => groupOf(id, voters.split(' '))),
    retired: [],
  };
}

function shown(plan: ReturnType<typeof planMembership>): string[] {
  return plan.changes.map(({ groupId, add, remove }) => `${groupId} +${add.join()} -${remove.join()}`);
}

describe('a node that retires', () => {
  it('is replaced by a spare one in every group, and goes when it votes nowhere', () => {
    const before = view('n1 -n2 n3 n4', { a: 'n1 n2 n3', b: 'n1 n2 n3' });
    const plan = planMembership(before, all);
    expect(shown(plan)).toEqual(['a +n4 -n2', 'b +n4 -n2']);
    expect([plan.leaving, plan.stuck]).toEqual([[], []]);
    const after = planMembership(view('n1 -n2 n3 n4', { a: 'n1 n3 n4', b: 'n1 n3 n4' }), all);
    expect([shown(after), after.leaving]).toEqual([[], ['n2']]);
  });

  it('only goes where there is no spare, or where there are voters enough without it', () => {
    expect(shown(planMembership(view('n1 -n2 n3', { a: 'n1 n2 n3' }), all))).toEqual(['a + -n2']);
    expect(shown(planMembership(view('n1 -n2 n3 n4 n5', { a: 'n1 n2 n3 n4' }), all))).toEqual(['a + -n2']);
  });

  it('gives its places to those that have the fewest', () => {
    const groups = { a: 'n1 n2', b: 'n1 n2', c: 'n3 n4', d: 'n1 n3' };
    const plan = planMembership(view('n1 -n2 n3 n4', groups, 2), all);
    expect(shown(plan)).toEqual(['a +n4 -n2', 'b +n3 -n2']);
  });

  it('is not replaced by one that cannot be reached, never ran, or retires as well', () => {
    const nodes = view('n1 -n2 n3 n4 ?n5 -n6', { a: 'n1 n2 n3' });
    expect(shown(planMembership(nodes, (id) => id !== 'n4'))).toEqual(['a + -n2']);
  });

  it('stays in a group in which nobody else votes until somebody can take its place', () => {
    const alone = view('-n1 n2', { a: 'n1' });
    expect(planMembership(alone, () => false)).toMatchObject({ changes: [], stuck: ['a'], leaving: [] });
    expect(shown(planMembership(alone, all))).toEqual(['a +n2 -n1']);
  });

  it('can be asked about beforehand', () => {
    const nodes = view('n1 n2', { a: 'n1', b: 'n1 n2' });
    expect(groupsLostWithout(nodes, 'n1', () => false)).toEqual(['a']);
    expect(groupsLostWithout(nodes, 'n1', all)).toEqual([]);
    expect(groupsLostWithout(nodes, 'n2', () => false)).toEqual([]);
  });
});

describe('a node that is new', () => {
  it('votes where voters are missing, and is settled where none are', () => {
    const plan = planMembership(view('n1 n2 +n3', { a: 'n1 n2', b: 'n1 n2' }), all);
    expect([shown(plan), plan.settled]).toEqual([['a +n3 -', 'b +n3 -'], []]);
    const full = planMembership(view('n1 n2 n3 +n4', { a: 'n1 n2 n3' }), all);
    expect([shown(full), full.settled]).toEqual([[], ['n4']]);
  });

  it('is waited for until it has run', () => {
    const plan = planMembership(view('n1 n2 ?n3', { a: 'n1 n2' }), all);
    expect([shown(plan), plan.settled]).toEqual([[], []]);
  });
});

describe('what operators made', () => {
  it('is left as it is: a group with few voters gets no older node', () => {
    const plan = planMembership(view('n1 n2 n3', { a: 'n1 n2', b: 'n1' }), all);
    expect(plan).toEqual({ changes: [], settled: [], leaving: [], stuck: [] });
  });
});
