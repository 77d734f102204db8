// Watches over a cluster: each change once and in order, resumed anywhere, and never a gap in silence.

import type { KeyValueChanges } from '@datawarehouse/sdk';
import { isDwError } from '@datawarehouse/sdk';
import { afterEach, describe, expect, it } from 'vitest';
import { TestCluster } from '../testing/cluster.test.kit.js';
import { keyValuesOf } from './group-key-values.js';

const clusters: TestCluster[] = [];

afterEach(async () => {
  for (const cluster of clusters.splice(0)) await cluster.stop();
});

async function start(options: Parameters<typeof TestCluster.start>[0]): Promise<TestCluster> {
  const cluster = await TestCluster.start(options);
  clusters.push(cluster);
  return cluster;
}

/** Pulls a watch and keeps what it says. */
class Watcher {
  readonly seen: string[] = [];
  upTo: number | undefined;
  error: unknown;
  done = false;
  private readonly abort = new AbortController();

  constructor(cluster: TestCluster, node: string, prefix: string, after?: number) {
    const query = { group: 'group-1', prefix, ...(after === undefined ? {} : { after }) };
    void this.run(cluster.node(node).store.watch(query, this.abort.signal));
  }

  stop(): void {
    this.abort.abort();
  }

  private async run(batches: AsyncIterable<KeyValueChanges>): Promise<void> {
    try {
      for await (const { changes, upTo } of batches) {
        for (const { key, version, value } of changes) {
          this.seen.push(`${version} ${key}=${value === undefined ? 'gone' : Buffer.from(value).toString()}`);
        }
        this.upTo = upTo;
      }
    } catch (error) {
      this.error = error;
    }
    this.done = true;
  }
}

describe('a watch', () => {
  it('tells each change of its keys once, in order, with deletes and without what changed nothing', async () => {
    const cluster = await start({ nodes: 3, groups: 1 });
    await cluster.put('n1', 'a/0', 'before');
    const watcher = new Watcher(cluster, 'n2', 'a/');
    await cluster.until('it began', () => watcher.upTo !== undefined);
    const one = await cluster.put('n1', 'a/1', 'x');
    await cluster.put('n1', 'b/1', 'other');
    await cluster.put('n3', 'a/1', 'y', { ifVersion: 1 }).catch(() => undefined);
    const two = await cluster.put('n3', 'a/1', 'y', { ifVersion: one.version });
    const gone = await cluster.settle(cluster.node('n2').store.deleteAsync('a/1'));
    await cluster.settle(cluster.node('n2').store.deleteAsync('a/none'));
    const last = await cluster.put('n1', 'a/2', 'z');
    await cluster.until('it saw the last', () => (watcher.upTo ?? 0) >= last.version);
    expect(watcher.seen).toEqual([
      `${one.version} a/1=x`,
      `${two.version} a/1=y`,
      `${gone.version} a/1=gone`,
      `${last.version} a/2=z`,
    ]);
    watcher.stop();
    await cluster.until('it ended', () => watcher.done);
    expect(isDwError(watcher.error, 'aborted')).toBe(true);
    expect(cluster.node('n2').store.counters.watchers).toBe(0);
  });

  it('goes on after a version at another node, with no gap and no repeat', async () => {
    const cluster = await start({ nodes: 3, groups: 1 });
    const all: string[] = [];
    for (let n = 0; n < 5; n++) all.push(`${(await cluster.put('n1', 'k', `${n}`)).version} k=${n}`);
    const first = new Watcher(cluster, 'n1', '', 0);
    await cluster.until('it saw five', () => first.seen.length === 5);
    first.stop();
    cluster.crash('n1');
    await cluster.until('another leader', () => cluster.settled(['n2', 'n3']));
    for (let n = 5; n < 10; n++) all.push(`${(await cluster.put('n2', 'k', `${n}`)).version} k=${n}`);
    const second = new Watcher(cluster, 'n3', '', first.upTo);
    await cluster.until('it saw the rest', () => second.seen.length === 5);
    expect([...first.seen, ...second.seen]).toEqual(all);
    second.stop();
  });

  it('reaches back over a restart as far as the log does, and says when it does not', async () => {
    const cluster = await start({ nodes: 1, groups: 1 });
    await cluster.put('n1', 'k', 'old');
    const snapshot = await cluster.settle(cluster.node('n1').router.snapshot('group-1'));
    const after = await cluster.put('n1', 'k', 'new');
    cluster.crash('n1');
    await cluster.startNode('n1');
    await cluster.until('a leader', () => cluster.settled());
    const resumed = new Watcher(cluster, 'n1', '', snapshot);
    await cluster.until('it saw the change', () => resumed.seen.length > 0);
    expect(resumed.seen).toEqual([`${after.version} k=new`]);
    const late = new Watcher(cluster, 'n1', '', snapshot - 1);
    await cluster.until('it was refused', () => late.done);
    expect(late.error).toMatchObject({ code: 'version-compacted', details: { oldest: snapshot } });
    resumed.stop();
  });

  it('tells a reader that was overtaken, and passes over nothing', async () => {
    const cluster = await start({ nodes: 1, groups: 1 });
    const watch = cluster.node('n1').store.watch({ group: 'group-1', after: 0 })[Symbol.asyncIterator]();
    await cluster.settle(watch.next());
    await cluster.put('n1', 'k', 'seen by nobody');
    // As a snapshot from a leader does, or more changes than are kept.
    const group = cluster.node('n1').engine.group('group-1')!;
    const state = keyValuesOf(group);
    state.restore([...state.snapshot()], group.lastApplied);
    await expect(cluster.settle(watch.next())).rejects.toMatchObject({ code: 'version-compacted' });
  });

  it('ends with its group, and needs a replica of it', async () => {
    const cluster = await start({ nodes: 2, groups: 1, votersPerGroup: 1 });
    const [here] = cluster.placements[0]!.voters;
    const other = cluster.ids.find((id) => id !== here)!;
    const watcher = new Watcher(cluster, here!, '');
    await cluster.until('it began', () => watcher.upTo !== undefined);
    await cluster.settle(cluster.node(here!).engine.closeGroup('group-1'));
    await cluster.until('it ended', () => watcher.done);
    expect(isDwError(watcher.error)).toBe(true);
    const nowhere = new Watcher(cluster, other, '', 0);
    await cluster.until('it was refused', () => nowhere.done);
    expect(nowhere.error).toMatchObject({ code: 'replica-not-here' });
  });
});
