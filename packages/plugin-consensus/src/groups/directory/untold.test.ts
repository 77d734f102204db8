// What a node tells the directory, and what it keeps to itself.

import { describe, expect, it } from 'vitest';
import { addressesOf, groupOf, nodeOf } from './directory.test.kit.js';
import type { DirectoryNode, DirectoryView } from './directory-types.js';
import type { LedGroup, OwnKnowledge } from './untold.js';
import { untold } from './untold.js';

function view(version: number, own: Partial<DirectoryNode> = {}): DirectoryView {
  return {
    version,
    votersPerGroup: 3,
    nodes: [nodeOf(1), { ...nodeOf(2), storageId: 'disk-b', ...own }],
    groups: [groupOf('group-1', ['n1', 'n2'])],
    retired: [],
  };
}

function own(overrides: Partial<OwnKnowledge> = {}): OwnKnowledge {
  return {
    nodeId: 'n2',
    addresses: addressesOf(2),
    storageId: 'disk-b',
    leadsNothing: false,
    led: () => undefined,
    ...overrides,
  };
}

const leads = (voters: readonly string[], votersOutgoing: readonly string[] = []) => ({
  led: (): LedGroup => ({ conf: { voters, votersOutgoing }, lastApplied: 40 }),
});

describe('what a node tells', () => {
  it('is nothing when the directory knows all', () => {
    expect(untold(view(3), own(leads(['n2', 'n1'])))).toEqual([]);
  });

  it('is the directory itself where it leads one that nobody has made, with a version above the lost one', () => {
    expect(untold(view(0), own({ leadsNothing: true }))).toMatchObject([{ op: 'create', after: 0 }]);
    expect(untold(view(7), own({ leadsNothing: true }))).toMatchObject([{ op: 'create', after: 7 }]);
    expect(untold(view(0), own(leads(['n1'])))).toEqual([]);
  });

  it('is where it is and which storage it has, when either is another than is known', () => {
    const announcement = { op: 'announce', id: 'n2', ...addressesOf(2), storageId: 'disk-b' };
    expect(untold(view(3, { storageId: null }), own())).toEqual([{ ...announcement, replaces: null }]);
    expect(untold(view(3, { storageId: 'disk-a' }), own())).toEqual([
      { ...announcement, replaces: 'disk-a' },
    ]);
    expect(untold(view(3, { http: null }), own())).toHaveLength(1);
    expect(untold(view(3, { client: 'other:1' }), own())).toHaveLength(1);
  });

  it('is nothing of itself while its storage is in doubt, it retires, or it is no member', () => {
    expect(untold(view(3, { peer: 'other:1' }), own({ storageId: undefined }))).toEqual([]);
    expect(untold(view(3, { peer: 'other:1', state: 'retiring' }), own())).toEqual([]);
    expect(untold(view(3), own({ nodeId: 'n9' }))).toEqual([]);
  });

  it('is the voters of the groups that it leads, once a change of them is over', () => {
    expect(untold(view(3), own(leads(['n2', 'n3'], ['n1', 'n2'])))).toEqual([]);
    expect(untold(view(3), own(leads(['n3', 'n2'])))).toEqual([
      { op: 'voters', id: 'group-1', voters: ['n2', 'n3'], index: 40 },
    ]);
  });
});
