// Real nodes are killed and paused while one client writes with many calls under way; then it is checked that every
// acknowledged write is there, that nothing was applied twice, that the history is linearizable, and that a watch beside
// it all told each change once and in order.

import { connect } from '@datawarehouse/client';
import type { DwClient, ReadMode } from '@datawarehouse/client';
import { afterEach, expect, it } from 'vitest';
import { checkLinearizable, explain } from '../linearizability/checker.js';
import { ClientWorkload, WatchRecord } from '../support/client-workload.js';
import { TestCluster } from '../support/cluster.js';
import { eventually } from '../support/processes.js';
import { seeded } from '../support/workload.js';

let cluster: TestCluster | undefined;
let client: DwClient | undefined;

afterEach(async () => {
  client?.destroy();
  await cluster?.stop();
  client = undefined;
  cluster = undefined;
});

async function begin(seed: number, consistency: ReadMode = 'linearizable') {
  cluster = await TestCluster.create({ proxied: false });
  await cluster.start();
  client = await connect({
    endpoints: cluster.nodes.map(({ clientPort }) => `127.0.0.1:${clientPort}`),
    timeoutMs: 30_000,
    silenceMs: 600,
    random: seeded(seed),
  });
  const watch = client.watch('');
  await watch.ready();
  const record = new WatchRecord(watch);
  const load = new ClientWorkload(client, seeded(seed), consistency);
  await progress(load, 200);
  return { cluster, load, record, watch };
}

async function progress(load: ClientWorkload, more: number): Promise<void> {
  const wanted = load.counts.done + more;
  await eventually(`${more} more answers`, async () => (load.counts.done >= wanted ? true : undefined));
}

async function finish({ load, record, watch }: Awaited<ReturnType<typeof begin>>): Promise<void> {
  await load.finish();
  const verdict = checkLinearizable(load.history);
  expect(verdict.linearizable, explain(verdict)).toBe(true);
  expect(load.acknowledged.size).toBeGreaterThan(100);
  // With a session for each group and half a minute for each call, every outcome was found out.
  expect([load.counts.unknown, Object.fromEntries(load.refusals)]).toEqual([0, {}]);
  await eventually('the watch has told everything', async () =>
    record.problems(load.acknowledged).length === 0 ? true : undefined,
  ).catch(() => expect(record.problems(load.acknowledged).slice(0, 10)).toEqual([]));
  watch.stop();
  await record.ended;
  expect(record.problems(load.acknowledged)).toEqual([]);
}

it('a leader is killed and comes back, three times', async () => {
  const run = await begin(1);
  for (let round = 0; round < 3; round++) {
    const leader = await run.cluster.leader(round % 3);
    await run.cluster.kill(leader);
    await progress(run.load, 200);
    run.cluster.launch(leader);
    await run.cluster.ready([leader]);
    await progress(run.load, 200);
  }
  await finish(run);
});

it.each(['linearizable', 'lease'] as const)(
  'a leader is paused and goes on, under %s reads',
  async (mode) => {
    const run = await begin(2, mode);
    for (let round = 0; round < 3; round++) {
      const leader = await run.cluster.leader(round % 3);
      run.cluster.signal(leader, 'SIGSTOP');
      await run.cluster.leader(round % 3, [leader]);
      await progress(run.load, 150);
      run.cluster.signal(leader, 'SIGCONT');
      await progress(run.load, 150);
    }
    await run.cluster.ready();
    await finish(run);
  },
);

it('all nodes are killed at once', async () => {
  const run = await begin(3);
  await Promise.all(run.cluster.nodes.map(({ id }) => run.cluster.kill(id)));
  await run.cluster.start();
  await progress(run.load, 200);
  await finish(run);
});
