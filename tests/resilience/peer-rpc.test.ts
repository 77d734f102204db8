// Requests between real nodes go through the policy that an operator sees and changes on each of them.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestCluster } from '../support/cluster.js';
import { TestProcess, eventually } from '../support/processes.js';

interface Shown {
  readonly statistics: { readonly calls: number; readonly successes: number; readonly rejections: number };
  readonly keys: readonly { readonly key: string }[];
}

let cluster: TestCluster;

beforeAll(async () => {
  cluster = await TestCluster.create({ proxied: false, plugins: ['@datawarehouse/plugin-resilience'] });
  await cluster.start();
}, 60_000);

afterAll(() => cluster.stop());

async function shown(node: string): Promise<Shown> {
  const response = await fetch(`${cluster.node(node).url}/v1/resilience/policies/peer-rpc`);
  expect(response.status).toBe(200);
  return (await response.json()) as Shown;
}

async function put(node: string, key: string): Promise<{ status: number; code?: string; group?: string }> {
  const url = `${cluster.node(node).url}/v1/kv/${key}`;
  const response = await fetch(url, { method: 'PUT', body: node });
  return { status: response.status, ...((await response.json()) as { code?: string; group?: string }) };
}

async function dw(node: string, ...args: string[]): Promise<string> {
  const command = TestProcess.dw('dw resilience', ['resilience', ...args, '--url', cluster.node(node).url]);
  const { code } = await command.exited;
  expect([code, command.output]).toEqual([0, command.output]);
  return command.output;
}

async function leaderOf(group: string): Promise<string> {
  return eventually('a leader', async () => {
    const response = await fetch(`${cluster.node('n1').url}/v1/groups`);
    const groups = (await response.json()) as { id: string; leader: string | null }[];
    return groups.find(({ id }) => id === group)?.leader ?? undefined;
  });
}

describe('requests between nodes', () => {
  it('are counted by the policy, peer by peer', async () => {
    for (let n = 0; n < 12; n++) expect((await put(`n${(n % 3) + 1}`, `counted-${n}`)).status).toBe(200);
    const all = await Promise.all(['n1', 'n2', 'n3'].map(shown));
    expect(all.reduce((sum, { statistics }) => sum + statistics.calls, 0)).toBeGreaterThan(0);
    for (const [n, { statistics, keys }] of all.entries()) {
      expect(statistics.rejections).toBe(0);
      expect(keys.map(({ key }) => key)).not.toContain(`n${n + 1}`);
    }
  });

  it('are refused for certain while the peer is isolated by hand, and made again when it is not', async () => {
    const { group } = await put('n1', 'isolated');
    const leader = await leaderOf(group ?? '');
    const other = leader === 'n1' ? 'n2' : 'n1';
    expect((await put(other, 'isolated')).status).toBe(200);
    await dw(other, 'isolate', 'peer-rpc', '--key', leader);
    const refused = await put(other, 'isolated');
    expect(refused).toMatchObject({ status: 503, code: 'circuit-isolated' });
    expect((await shown(other)).statistics.rejections).toBeGreaterThan(0);
    // It was not done, and Raft, which has its own way between the nodes, goes on: others are served.
    const read = await fetch(`${cluster.node(leader).url}/v1/kv/isolated`);
    expect(await read.text()).toBe(other);
    expect((await put(leader, 'isolated')).status).toBe(200);
    await dw(other, 'reset', 'peer-rpc', '--key', leader);
    expect((await put(other, 'isolated')).status).toBe(200);
  });
});
