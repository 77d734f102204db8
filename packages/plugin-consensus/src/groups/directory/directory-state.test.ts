// The directory's laws: what was made first counts, an id has one node, a retired storage never comes back, and
// replicas that applied the same commands are equal, also after a snapshot.

import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import type { DirectoryCommand } from './directory-command.js';
import { encodeDirectoryCommand } from './directory-command.js';
import { DirectoryState } from './directory-state.js';
import { MAX_NODES } from './directory-types.js';
import { TestDirectory, addressesOf, createOf, groupOf, nodeOf } from './directory.test.kit.js';

let directory: TestDirectory;
let changes: number;

beforeEach(() => {
  changes = 0;
  directory = new TestDirectory(() => void changes++);
});

const join = (n: number, id: string | null = `n${n}`): DirectoryCommand => ({
  op: 'join',
  id,
  ...addressesOf(n),
});
const announce = (n: number, storageId: string, replaces: string | null = null): DirectoryCommand => ({
  op: 'announce',
  id: `n${n}`,
  ...addressesOf(n),
  storageId,
  replaces,
});

describe('an empty directory', () => {
  it('takes nothing but its making', () => {
    expect(directory.tell(join(4))).toMatchObject({ ok: false, code: 'directory-empty', version: 0 });
    expect(directory.tell(createOf(3))).toEqual({ ok: true, version: 1, node: null });
    expect(directory.nodes).toBe('n1 n2 n3');
    expect(directory.state.view.votersPerGroup).toBe(3);
    expect(changes).toBe(1);
  });

  it('is made once: what was made first counts', () => {
    directory.tell(createOf(3));
    expect(directory.tell(createOf(5))).toMatchObject({ ok: false, code: 'directory-exists', version: 1 });
    expect(directory.nodes).toBe('n1 n2 n3');
    expect(changes).toBe(1);
  });
});

describe('a directory whose group was lost', () => {
  it('is made again from a copy, with a version above it', () => {
    const retired = [{ id: 'n9', storageId: 'disk-z' }];
    expect(directory.tell({ ...createOf(3), after: 40, retired })).toMatchObject({ ok: true, version: 41 });
    expect(directory.tell(announce(1, 'disk-z'))).toMatchObject({ code: 'storage-retired' });
  });
});

describe('joining', () => {
  beforeEach(() => void directory.tell(createOf(3)));

  it('gives a node without an id the next free one, and the same again when it asks again', () => {
    const answer = { ok: true, version: 2, node: { ...nodeOf(4), state: 'new' } };
    expect(directory.tell(join(4, null))).toEqual(answer);
    expect(directory.tell(join(4, null))).toEqual(answer);
    expect(directory.tell(join(4, 'n4'))).toEqual(answer);
    expect(directory.nodes).toBe('n1 n2 n3 n4');
    expect(directory.tell(join(9, null))).toMatchObject({ node: { id: 'n5' } });
  });

  it('refuses an id that belongs to a node with other addresses', () => {
    expect(directory.tell({ op: 'join', id: 'n2', ...addressesOf(9) })).toMatchObject({
      ok: false,
      code: 'node-id-taken',
      detail: 'n2 is at 127.0.0.1:7501 and http://127.0.0.1:7401',
    });
    expect(directory.state.view.nodes[1]).toEqual(nodeOf(2));
  });

  it.each([{ peer: addressesOf(2).peer }, { http: addressesOf(2).http }, { client: addressesOf(2).client }])(
    'refuses an address that belongs to another node: %j',
    (taken) => {
      const command: DirectoryCommand = { op: 'join', id: 'n9', ...addressesOf(9), ...taken };
      expect(directory.tell(command)).toMatchObject({ ok: false, code: 'node-address-taken' });
    },
  );

  it('takes the addresses that a node tells which nobody knew at the beginning', () => {
    const bare = { ...nodeOf(1), http: null, client: null };
    const fresh = new TestDirectory();
    fresh.tell({ ...createOf(1), nodes: [bare] });
    expect(fresh.tell(announce(1, 'disk-a'))).toMatchObject({ node: { http: addressesOf(1).http } });
  });

  it('lets nodes without a client address be several', () => {
    const without = (n: number): DirectoryCommand => ({
      op: 'join',
      id: `n${n}`,
      ...addressesOf(n),
      client: null,
    });
    expect(directory.tell(without(4)).ok && directory.tell(without(5)).ok).toBe(true);
  });

  it('has a bound', () => {
    const address = (n: number) => ({ peer: `h${n}:1`, http: `http://h${n}:2`, client: null });
    for (let n = 4; n <= MAX_NODES; n++) directory.tell({ op: 'join', id: null, ...address(n) });
    expect(directory.tell({ op: 'join', id: null, ...address(0) })).toMatchObject({ code: 'directory-full' });
    expect(directory.state.view.nodes).toHaveLength(MAX_NODES);
  });
});

describe('announcing', () => {
  beforeEach(() => void directory.tell(createOf(3)));

  it('records the storage once, and other addresses whenever they change', () => {
    expect(directory.tell(announce(2, 'disk-a'))).toMatchObject({
      version: 2,
      node: { storageId: 'disk-a' },
    });
    expect(directory.tell(announce(2, 'disk-a'))).toMatchObject({ version: 2 });
    const moved: DirectoryCommand = {
      op: 'announce',
      id: 'n2',
      ...addressesOf(8),
      storageId: 'disk-a',
      replaces: null,
    };
    expect(directory.tell(moved)).toMatchObject({ version: 3, node: { peer: '127.0.0.1:7507' } });
  });

  it('refuses another storage, unless it is said to take the place of the known one', () => {
    directory.tell(announce(2, 'disk-a'));
    const refusal = { ok: false, code: 'storage-known', detail: 'disk-a' };
    expect(directory.tell(announce(2, 'disk-b'))).toMatchObject(refusal);
    expect(directory.tell(announce(2, 'disk-b', 'disk-x'))).toMatchObject(refusal);
    expect(directory.tell(announce(2, 'disk-b', 'disk-a'))).toMatchObject({ node: { storageId: 'disk-b' } });
  });

  it('refuses a stranger, and addresses of another', () => {
    expect(directory.tell(announce(7, 'disk-a'))).toMatchObject({ code: 'node-unknown' });
    const taken: DirectoryCommand = {
      op: 'announce',
      id: 'n2',
      ...addressesOf(1),
      storageId: 'd',
      replaces: null,
    };
    expect(directory.tell(taken)).toMatchObject({ code: 'node-address-taken' });
  });
});

describe('retiring', () => {
  beforeEach(() => {
    directory.tell(createOf(3));
    directory.tell(announce(2, 'disk-a'));
  });

  it('goes by way of leaving every group', () => {
    expect(directory.tell({ op: 'remove', id: 'n2' })).toMatchObject({ code: 'node-not-retiring' });
    directory.tell({ op: 'retire', id: 'n2' });
    expect(directory.nodes).toBe('n1 -n2 n3');
    expect(directory.tell({ op: 'remove', id: 'n2' })).toMatchObject({ code: 'node-votes' });
    directory.tell({ op: 'voters', id: 'group-1', voters: ['n1', 'n3'], index: 7 });
    expect(directory.tell({ op: 'remove', id: 'n2' })).toMatchObject({ ok: true, node: null });
    expect(directory.nodes).toBe('n1 n3');
  });

  it('never lets the storage of a retired node back, but its id with another storage', () => {
    directory.tell({ op: 'retire', id: 'n2' });
    directory.tell({ op: 'voters', id: 'group-1', voters: ['n1', 'n3'], index: 7 });
    directory.tell({ op: 'remove', id: 'n2' });
    expect(directory.tell(join(2))).toMatchObject({ ok: true, node: { id: 'n2', storageId: null } });
    expect(directory.tell(announce(2, 'disk-a'))).toMatchObject({ ok: false, code: 'storage-retired' });
    expect(directory.tell(announce(2, 'disk-b'))).toMatchObject({ ok: true });
  });

  it('does not give the name of a retired node to the next one that has none', () => {
    directory.tell(join(4));
    directory.tell(announce(4, 'disk-d'));
    directory.tell({ op: 'retire', id: 'n4' });
    directory.tell({ op: 'remove', id: 'n4' });
    expect(directory.tell(join(9, null))).toMatchObject({ node: { id: 'n5' } });
  });

  it('ends what is new, and so does being kept', () => {
    directory.tell(join(4));
    directory.tell(join(5));
    directory.tell({ op: 'keep', id: 'n4' });
    directory.tell({ op: 'retire', id: 'n5' });
    expect(directory.state.view.nodes.slice(3).map(({ state }) => state)).toEqual(['member', 'retiring']);
  });

  it('can be called off, and refuses the last node that stays', () => {
    directory.tell({ op: 'retire', id: 'n1' });
    directory.tell({ op: 'retire', id: 'n2' });
    expect(directory.tell({ op: 'retire', id: 'n3' })).toMatchObject({ code: 'node-last' });
    directory.tell({ op: 'keep', id: 'n1' });
    expect(directory.nodes).toBe('n1 -n2 n3');
    expect(directory.tell({ op: 'retire', id: 'n8' })).toMatchObject({ code: 'node-unknown' });
    expect(directory.tell(join(2))).toMatchObject({ code: 'node-id-taken', detail: 'n2 is retiring' });
  });
});

describe('groups', () => {
  beforeEach(() => void directory.tell(createOf(3)));

  it('are added once, with voters that are nodes', () => {
    const group = { ...groupOf('counters', ['n1', 'n2']), machine: 'counter' };
    expect(directory.tell({ op: 'add-group', group })).toMatchObject({
      code: 'storage-unknown',
      detail: 'n1',
    });
    directory.tell(announce(1, 'disk-a'));
    directory.tell(announce(2, 'disk-b'));
    expect(directory.tell({ op: 'add-group', group })).toMatchObject({ ok: true, version: 4 });
    expect(directory.tell({ op: 'add-group', group })).toMatchObject({ ok: true, version: 4 });
    // Who may make its replica by itself: these nodes with these storages, whatever comes later.
    expect(directory.state.view.groups[1]).toMatchObject({ storages: ['disk-a', 'disk-b'] });
    const other = { ...group, machine: 'other' };
    expect(directory.tell({ op: 'add-group', group: other })).toMatchObject({ code: 'group-exists' });
    const strange = groupOf('far', ['n1', 'n9']);
    expect(directory.tell({ op: 'add-group', group: strange })).toMatchObject({
      code: 'node-unknown',
      detail: 'n9',
    });
  });

  it('have the voters that the latest index tells, while those of the beginning stay', () => {
    const voters = (list: readonly string[], index: number) =>
      directory.tell({ op: 'voters', id: 'group-1', voters: list, index });
    voters(['n1', 'n3'], 20);
    voters(['n1', 'n2', 'n3'], 10);
    expect(directory.state.view.groups[0]).toMatchObject({
      voters: ['n1', 'n3'],
      votersAt: 20,
      bootstrap: ['n1', 'n2', 'n3'],
    });
    expect(directory.tell({ op: 'voters', id: 'group-9', voters: ['n1'], index: 1 })).toMatchObject({
      code: 'group-unknown',
    });
  });
});

describe('what is no command', () => {
  it.each([
    '',
    'null',
    '[]',
    '{"op":"join"}',
    '{"v":2,"op":"retire","id":"n1"}',
    '{"v":1,"op":"burn"}',
    '{"v":1,"op":"retire","id":"../n1"}',
    '{"v":1,"op":"join","id":null,"peer":"x","http":"http://a:1","client":null}',
    '{"v":1,"op":"join","id":null,"peer":"x:1","http":"ftp://a:1","client":null}',
    '{"v":1,"op":"join","id":null,"peer":"x:70000","http":"http://a:1","client":null}',
    '{"v":1,"op":"voters","id":"group-1","voters":[],"index":1}',
    '{"v":1,"op":"voters","id":"group-1","voters":["n1","n1"],"index":1}',
    '{"v":1,"op":"voters","id":"group-1","voters":["n1"],"index":0.5}',
  ])('is refused and changes nothing: %s', (text) => {
    directory.tell(createOf(3));
    expect(directory.tellBytes(Buffer.from(text))).toMatchObject({
      ok: false,
      code: 'command-malformed',
      version: 1,
    });
    expect(changes).toBe(1);
  });

  it('is refused when a list names a node twice', () => {
    const command = { ...createOf(2), nodes: [nodeOf(1), nodeOf(1)] };
    expect(directory.tell(command)).toMatchObject({ code: 'command-malformed' });
  });
});

/** Commands over few ids and addresses, so that they get in each other's way. */
const anyCommand: fc.Arbitrary<DirectoryCommand> = (() => {
  const n = fc.integer({ min: 1, max: 6 });
  const id = n.map((number) => `n${number}`);
  const storage = fc.constantFrom('disk-a', 'disk-b', 'disk-c');
  const voters = fc.uniqueArray(id, { minLength: 1, maxLength: 4 });
  return fc.oneof(
    fc
      .record({ at: n, id: fc.option(id) })
      .map((j): DirectoryCommand => ({ op: 'join', id: j.id, ...addressesOf(j.at) })),
    fc
      .record({ at: n, id, storageId: storage, replaces: fc.option(storage) })
      .map(({ at, ...rest }): DirectoryCommand => ({ op: 'announce', ...rest, ...addressesOf(at) })),
    fc.record({ op: fc.constantFrom('retire' as const, 'keep' as const, 'remove' as const), id }),
    fc
      .record({ voters, index: fc.integer({ min: 1, max: 20 }) })
      .map((v): DirectoryCommand => ({ op: 'voters', id: 'group-1', ...v })),
    voters.map((list): DirectoryCommand => ({
      op: 'add-group',
      group: groupOf(`group-${list.length}`, list),
    })),
  );
})();

describe('any commands', () => {
  it('keep ids and addresses unique, versions rising, and replicas equal, also one that took a snapshot in between', () => {
    fc.assert(
      fc.property(
        fc.array(anyCommand, { maxLength: 40 }),
        fc.nat(40),
        fc.integer({ min: 1, max: 99 }),
        (commands, at, cut) => {
          const one = new TestDirectory();
          let other = new DirectoryState();
          let version = 0;
          for (const [n, command] of [createOf(3), ...commands].entries()) {
            const before = one.state.view;
            const answer = one.tell(command);
            other.apply({
              index: n + 1,
              term: 1,
              proposer: 'n2',
              time: n,
              data: encodeDirectoryCommand(command),
            });
            const { view } = one.state;
            expect(view.version).toBeGreaterThanOrEqual(version);
            if (!answer.ok) expect(view).toBe(before);
            version = view.version;
            for (const key of ['id', 'peer', 'http', 'client'] as const) {
              expect(new Set(view.nodes.map((node) => node[key])).size).toBe(view.nodes.length);
            }
            const live = view.nodes.map(({ storageId }) => storageId);
            for (const { storageId } of view.retired) expect(live).not.toContain(storageId);
            if (n === at) other = restored(other, cut);
            expect(other.stateHash(n)).toBe(one.state.stateHash(n));
          }
          expect(Buffer.concat([...other.snapshot()])).toEqual(Buffer.concat([...one.state.snapshot()]));
        },
      ),
    );
  });
});

function restored(from: DirectoryState, cut: number): DirectoryState {
  const bytes = Buffer.concat([...from.snapshot()]);
  const state = new DirectoryState();
  const restorer = state.beginRestore();
  for (let at = 0; at < bytes.length; at += cut) restorer.push(bytes.subarray(at, at + cut));
  restorer.finish();
  return state;
}
