// Who is asked by a node that lost its replicas, and until when.

import { expect, it } from 'vitest';
import { FakeClock } from '@datawarehouse/sdk/testing';
import { RepairWatch, type RepairWatchOptions } from './repair-watch.js';

/** A watch on a node that lost everything; `told` is what each peer answers. */
function watchOf(told: Record<string, readonly string[]>) {
  const nodes = new Set(Object.keys(told));
  const clock = new FakeClock();
  const asked: string[] = [];
  const watch = new RepairWatch({
    engine: {},
    storage: { damagedGroups: () => [], groupIds: [] },
    client: {
      connected: () => Object.keys(told),
      nodes: () => new Set(['n1', ...nodes]),
      ask: (peer: string) => {
        asked.push(peer);
        return Promise.resolve({ pending: told[peer] });
      },
    },
    records: { wanted: () => ({}) },
    clock,
    log: { warn: () => {} },
    returning: () => true,
  } as unknown as RepairWatchOptions);
  watch.start();
  const round = async (): Promise<readonly string[]> => {
    asked.length = 0;
    await clock.advanceAsync(1_000);
    return [...asked];
  };
  return { watch, round, nodes };
}

it('given a peer that misses nothing while another one does, when it may lead by now, then it is asked again', async () => {
  const told: Record<string, readonly string[]> = { n2: [], n3: ['group-1'] };
  const { watch, round } = watchOf(told);
  expect(await round()).toEqual(['n2', 'n3']);
  expect(watch.missing).toEqual(['group-1']);
  // It had lost its own replica when it was asked, and leads the group now.
  told['n2'] = ['group-1'];
  expect(await round()).toEqual(['n2', 'n3']);
});

it('given a peer that missed something dies, then the others are asked until it is no node any more', async () => {
  const told: Record<string, readonly string[]> = { n2: [], n3: ['group-1'] };
  const { watch, round, nodes } = watchOf(told);
  await round();
  delete told['n3'];
  expect(await round()).toEqual(['n2']);
  expect(watch.missing).toEqual([]);
  // The next leader has to apply its log before it knows.
  told['n2'] = ['group-1'];
  expect(await round()).toEqual(['n2']);
  expect(watch.missing).toEqual(['group-1']);
  told['n2'] = [];
  expect(await round()).toEqual(['n2']);
  nodes.delete('n3');
  expect(await round()).toEqual([]);
});

it('given no peer misses anything, then nobody is asked any more', async () => {
  const { watch, round } = watchOf({ n2: [], n3: [] });
  expect(await round()).toEqual(['n2', 'n3']);
  expect(await round()).toEqual([]);
  expect(watch.missing).toEqual([]);
});
