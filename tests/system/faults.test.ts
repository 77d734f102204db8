// Real nodes are killed, paused and cut off while eight clients work; then the clients' histories are checked.

import { afterEach, expect, it } from 'vitest';
import { checkLinearizable, explain } from '../linearizability/checker.js';
import { TestCluster } from '../support/cluster.js';
import { eventually } from '../support/processes.js';
import { Workload, seeded } from '../support/workload.js';

/** Answers while a node says nothing: most clients wait in vain for that one by then, so a few take seconds. */
const MEANWHILE = 50;

let cluster: TestCluster | undefined;
let workload: Workload | undefined;

afterEach(async () => {
  await cluster?.stop();
  cluster = undefined;
  workload = undefined;
});

async function begin(seed: number): Promise<{ cluster: TestCluster; workload: Workload }> {
  cluster = await TestCluster.create();
  await cluster.start();
  workload = new Workload(
    cluster.nodes.map(({ url }) => url),
    { random: seeded(seed) },
  );
  await progress(workload, 200);
  return { cluster, workload };
}

/** Waits until so many more operations were answered: the cluster serves. */
async function progress(load: Workload, more: number): Promise<void> {
  const wanted = load.counts.done + more;
  await eventually(`${more} more answers`, async () => (load.counts.done >= wanted ? true : undefined));
}

async function finish(load: Workload): Promise<void> {
  await load.finish();
  const verdict = checkLinearizable(load.history);
  expect(verdict.linearizable, explain(verdict)).toBe(true);
  expect(load.acknowledged.size).toBeGreaterThan(50);
}

it('a leader is killed and comes back', async () => {
  const { cluster, workload } = await begin(1);
  for (let round = 0; round < 3; round++) {
    const leader = await cluster.leader(round % 3);
    await cluster.kill(leader);
    await progress(workload, 150);
    cluster.launch(leader);
    await cluster.ready([leader]);
    await progress(workload, 150);
  }
  await finish(workload);
});

it('a leader is paused for longer than an election timeout', async () => {
  const { cluster, workload } = await begin(2);
  for (let round = 0; round < 3; round++) {
    const leader = await cluster.leader(round % 3);
    cluster.signal(leader, 'SIGSTOP');
    // Another leader is elected and serves; only then does the old one wake, believing that nothing has happened.
    await cluster.leader(round % 3, [leader]);
    await progress(workload, MEANWHILE);
    cluster.signal(leader, 'SIGCONT');
    await progress(workload, 150);
  }
  await cluster.ready();
  await finish(workload);
});

it('a leader is cut off from one peer, then from both', async () => {
  const { cluster, workload } = await begin(3);
  for (let round = 0; round < 2; round++) {
    const leader = await cluster.leader(round);
    const other = cluster.nodes.find(({ id }) => id !== leader)?.id as string;
    cluster.cut(leader, [other]);
    await progress(workload, 150);
    cluster.cut(leader);
    await cluster.leader(round, [leader]);
    await progress(workload, MEANWHILE);
    cluster.heal();
    await progress(workload, 150);
  }
  await cluster.ready();
  await finish(workload);
});

it('all three are killed at once', async () => {
  const { cluster, workload } = await begin(4);
  for (let round = 0; round < 2; round++) {
    await Promise.all(cluster.nodes.map(({ id }) => cluster.kill(id)));
    await cluster.start();
    await progress(workload, 300);
  }
  await finish(workload);
});

it('replicas that have applied the same index have the same state', async () => {
  const { cluster, workload } = await begin(5);
  await progress(workload, 500);
  await finish(workload);
  await eventually('equal hashes', async () => {
    const views = await Promise.all(cluster.nodes.map(({ id }) => cluster.groups(id)));
    for (const group of [0, 1, 2]) {
      const seen = new Set(views.map((view) => `${view[group]?.lastApplied}:${view[group]?.stateHash}`));
      if (seen.size !== 1) return undefined;
    }
    return true;
  });
});
