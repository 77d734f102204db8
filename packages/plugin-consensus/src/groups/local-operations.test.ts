// What a node does with its own replica of a group.

import { FakeClock } from '@datawarehouse/sdk/testing';
import { expect, it } from 'vitest';
import type { MultiRaftEngine } from '../engine/multi-raft-engine.js';
import { LocalOperations } from './local-operations.js';
import { bootstrapConf } from './placement.js';

const voters = bootstrapConf(['n1', 'n2', 'n3']);

/** Node n1, whose members of the group are `conf`, and become `later` on the way to what a read has to wait for. */
function localOf(conf: typeof voters, later = conf): LocalOperations {
  const group = {
    conf,
    leader: 'n2',
    failed: undefined,
    read: (_deadline: number, done: (error: undefined) => void): void => {
      group.conf = later;
      done(undefined);
    },
  };
  const engine = { nodeId: 'n1', refusal: undefined, group: () => group } as unknown as MultiRaftEngine;
  return new LocalOperations(
    engine,
    new FakeClock(),
    () => 'g',
    () => undefined,
  );
}

it('a node that learns only from the log that it is a witness answers no read from its empty state', async () => {
  const local = localOf(voters, { ...voters, witnesses: ['n1'] });
  expect(local.serves('g')).toBe(true);
  await expect(local.confirm('g', 1_000)).rejects.toMatchObject({ code: 'no-replica' });
});

it('a node that is no member does not serve what it still has: it may have been a witness', async () => {
  const local = localOf(bootstrapConf(['n2', 'n3']));
  expect([local.serves('g'), local.holds('g')]).toEqual([false, false]);
  await expect(local.confirm('g', 1_000)).rejects.toMatchObject({ code: 'no-replica' });
});

it('a member that has the data serves it', async () => {
  const local = localOf(voters);
  expect(local.holds('g')).toBe(true);
  expect(await local.confirm('g', 1_000)).toMatchObject({ leader: 'n2' });
});
