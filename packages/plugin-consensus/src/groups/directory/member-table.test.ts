// Who is a member of the directory may dial and is dialled; who is none any more is a stranger.

import type { ClusterMember, ClusterNode, IClusterDirectory } from '@datawarehouse/sdk';
import { DwError } from '@datawarehouse/sdk';
import { FakeClock, createTestContext } from '@datawarehouse/sdk/testing';
import { beforeEach, describe, expect, it } from 'vitest';
import { EMPTY_DIRECTORY } from './directory-types.js';
import type { DirectoryNode, DirectoryView } from './directory-types.js';
import { MemberTable } from './member-table.js';
import { nodeOf } from './directory.test.kit.js';

let did: string[];
let known: Map<string, ClusterNode>;
let clock: FakeClock;
let table: MemberTable;

function node(id: string, peer: string, state: ClusterNode['state'] = 'alive'): void {
  known.set(id, { id, peer, state, http: undefined, version: undefined, pid: undefined });
}

const cluster: IClusterDirectory = {
  localId: 'n1',
  nodes: () => [...known.values()],
  node: (id) => known.get(id),
  admit: ({ id, peer }: ClusterMember) => {
    if (id === 'n66') throw new DwError({ code: 'cluster-full', message: 'full' });
    did.push(`+${id} ${peer}`);
    node(id, peer, 'unreachable');
  },
  dismiss: (id) => {
    if (id === 'n1' || !known.delete(id)) return false;
    did.push(`-${id}`);
    return true;
  },
  onChanged: () => ({ [Symbol.dispose]: () => {} }),
};

function view(version: number, ...nodes: DirectoryNode[]): DirectoryView {
  return { ...EMPTY_DIRECTORY, version, votersPerGroup: 3, nodes };
}

beforeEach(() => {
  did = [];
  known = new Map();
  clock = new FakeClock();
  for (const n of [1, 2, 3]) node(`n${n}`, nodeOf(n).peer);
  table = new MemberTable(cluster, clock, createTestContext().context.log);
});

const three = [nodeOf(1), nodeOf(2), nodeOf(3)];

describe('the members', () => {
  it('are those of the directory, at the start and after each change', () => {
    table.follow(view(1, ...three), EMPTY_DIRECTORY);
    expect(did).toEqual([]);
    table.follow(view(2, ...three, nodeOf(4)), view(1, ...three));
    expect(did).toEqual([`+n4 ${nodeOf(4).peer}`]);
  });

  it('go a while after they were removed, so that they can hear of it, and stay when they come back before', () => {
    const before = view(2, ...three);
    table.follow(view(3, nodeOf(1), nodeOf(3)), before);
    expect(did).toEqual([]);
    clock.advance(2_000);
    expect(did).toEqual(['-n2']);
    node('n2', nodeOf(2).peer);
    table.follow(view(4, nodeOf(1), nodeOf(3)), before);
    table.follow(view(5, ...three), view(4, nodeOf(1), nodeOf(3)));
    clock.advance(2_000);
    expect(did).toEqual(['-n2']);
    expect(clock.pendingTimers()).toEqual([]);
  });

  it('go at once when they cannot hear it, or never were members', () => {
    node('n2', nodeOf(2).peer, 'unreachable');
    node('n9', '127.0.0.1:9');
    table.follow(view(3, nodeOf(1), nodeOf(3)), view(2, ...three));
    expect(did).toEqual(['-n2', '-n9']);
  });

  it('are not judged by a directory that nobody has made', () => {
    table.follow(view(0, nodeOf(1)), EMPTY_DIRECTORY);
    expect(did).toEqual([]);
  });

  it('have the address of the configuration until the directory tells of a change', () => {
    const elsewhere = { ...nodeOf(2), peer: '10.0.0.2:1', storageId: 'disk-a' };
    table.follow(view(1, nodeOf(1), elsewhere, nodeOf(3)), EMPTY_DIRECTORY);
    // It told its own address for the first time: from here it is reached as the configuration says.
    table.follow(view(2, nodeOf(1), elsewhere, nodeOf(3)), view(1, ...three));
    expect(did).toEqual([]);
    const moved = { ...elsewhere, peer: '10.0.0.2:2' };
    table.follow(view(3, nodeOf(1), moved, nodeOf(3)), view(2, nodeOf(1), elsewhere, nodeOf(3)));
    expect(did).toEqual(['+n2 10.0.0.2:2']);
  });

  it('that cannot be admitted hold up no others', () => {
    table.follow(view(2, ...three, { ...nodeOf(66) }, nodeOf(67)), EMPTY_DIRECTORY);
    expect(did).toEqual([`+n67 ${nodeOf(67).peer}`]);
  });

  it('are all strangers to a node that was retired', () => {
    table.dismissAll();
    expect(did).toEqual(['-n2', '-n3']);
  });
});
