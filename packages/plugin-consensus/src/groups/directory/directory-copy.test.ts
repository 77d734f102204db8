// A node's copy of the directory: a stale one never takes the place of a newer one, and what was told is on the disk.

import { MemoryBackingStore } from '@datawarehouse/sdk';
import { beforeEach, describe, expect, it } from 'vitest';
import { createTestContext } from '@datawarehouse/sdk/testing';
import { DirectoryCopy } from './directory-copy.js';
import type { DirectoryView } from './directory-types.js';
import { EMPTY_DIRECTORY } from './directory-types.js';
import { createOf, nodeOf } from './directory.test.kit.js';

const PATH = 'dw://consensus/directory';
let store: MemoryBackingStore;
let adopted: string[];

function view(version: number, nodes: number): DirectoryView {
  const { groups } = createOf(3);
  const list = Array.from({ length: nodes }, (_, at) => nodeOf(at + 1));
  return { version, votersPerGroup: 3, nodes: list, groups, retired: [] };
}

function open(first: DirectoryView = view(0, 3), nodeId = 'n2'): Promise<DirectoryCopy> {
  const log = createTestContext().context.log;
  return DirectoryCopy.open(
    {
      store,
      path: PATH,
      nodeId,
      log,
      onAdopted: (now, before) => adopted.push(`${before.version}>${now.version}`),
    },
    async () => first,
  );
}

beforeEach(() => {
  store = new MemoryBackingStore();
  adopted = [];
});

describe('the copy of the directory', () => {
  it('begins with what is first, once: what was made first counts', async () => {
    expect((await open()).view.nodes).toHaveLength(3);
    const again = await open(view(0, 5));
    expect(again.view.nodes).toHaveLength(3);
    expect(again.standing).toBe('member');
  });

  it('takes newer directories only, and has them after a restart', async () => {
    const copy = await open();
    expect(copy.offer(view(7, 3))).toBe(true);
    await copy.settled();
    expect(copy.offer(view(7, 4))).toBe(false);
    expect(copy.offer(view(3, 5))).toBe(false);
    await copy.settled();
    expect(copy.view).toEqual(view(7, 3));
    expect(adopted).toEqual(['0>7']);
    expect((await open()).view).toEqual(view(7, 3));
  });

  it('tells of a directory only once it is written', async () => {
    const copy = await open();
    copy.offer(view(7, 4));
    expect([copy.view.version, adopted]).toEqual([0, []]);
    await copy.settled();
    expect([copy.view.version, adopted]).toEqual([7, ['0>7']]);
  });

  it('writes the newest of those that came meanwhile, and never an older one after it', async () => {
    const copy = await open();
    for (const version of [5, 9, 6, 8]) copy.offer(view(version, 3));
    await copy.settled();
    expect(copy.view.version).toBe(9);
    expect(adopted.at(-1)).toMatch(/>9$/);
    expect((await open()).view.version).toBe(9);
  });

  it('knows the directory also when the disk does not keep it', async () => {
    const copy = await open();
    await store.closeAsync();
    copy.offer(view(2, 4));
    await copy.settled();
    expect(copy.view.version).toBe(2);
  });

  it('refuses a damaged file by name', async () => {
    await store.writeAsync(PATH, Buffer.from('Mnonsense'));
    await expect(open()).rejects.toMatchObject({ code: 'frame-malformed' });
  });
});

describe('the standing of a node', () => {
  it('is joining until a directory names it, and retired for good once one does not any more', async () => {
    const copy = await open(EMPTY_DIRECTORY, 'n4');
    expect(copy.standing).toBe('joining');
    // It was told of a directory that is older than its joining.
    copy.offer(view(1, 3));
    await copy.settled();
    expect(copy.standing).toBe('joining');
    copy.offer(view(2, 4));
    await copy.settled();
    expect(copy.standing).toBe('member');
    copy.offer(view(3, 3));
    await copy.settled();
    expect(copy.standing).toBe('retired');
    copy.offer(view(4, 4));
    await copy.settled();
    expect(copy.standing).toBe('retired');
    expect((await open(EMPTY_DIRECTORY, 'n4')).standing).toBe('retired');
  });
});
