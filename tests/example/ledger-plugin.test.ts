// A plugin with a state machine of its own on three real hosts: its group is made, its commands survive their leader,
// and a retry moves money once.

import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { TestCluster } from '../support/cluster.js';
import { ROOT, eventually } from '../support/processes.js';

const GROUP = 'machine-ledger';
let cluster: TestCluster;

beforeAll(async () => {
  const plugins = [join(ROOT, 'examples/ledger-plugin')];
  cluster = await TestCluster.create({ groups: 1, proxied: false, plugins });
  await cluster.start();
}, 120_000);

afterAll(async () => {
  await cluster.stop();
});

async function post(node: string, path: string, body: unknown, key?: string) {
  const headers = {
    'content-type': 'application/json',
    ...(key === undefined ? {} : { 'idempotency-key': key }),
  };
  const response = await fetch(`${cluster.node(node).url}/v1/ledger/${path}`, {
    method: 'POST',
    headers,
    body: JSON.stringify(body),
  });
  return { status: response.status, body: await response.json() };
}

async function balance(node: string, account: string): Promise<unknown> {
  const response = await fetch(`${cluster.node(node).url}/v1/ledger/accounts/${account}`);
  return response.json();
}

interface Group {
  readonly id: string;
  readonly machine: string;
  readonly leader: string | null;
  readonly lastApplied: number;
  readonly stateHash: string;
}

async function group(node: string): Promise<Group | undefined> {
  const response = await fetch(`${cluster.node(node).url}/v1/groups`);
  return ((await response.json()) as readonly Group[]).find(({ id }) => id === GROUP);
}

it('moves money once, whoever leads and however often it is asked', async () => {
  const { leader } = await eventually('the ledger has a leader', async () => {
    const found = await group('n1');
    return found?.leader == null ? undefined : (found as Group & { leader: string });
  });
  expect((await group('n1'))!.machine).toBe('ledger');
  expect(await post('n1', 'deposits', { account: 'ada', amount: 100 })).toMatchObject({ status: 200 });
  const transfer = (node: string) =>
    post(node, 'transfers', { from: 'ada', to: 'grace', amount: 60 }, 'order-17');
  const first = await transfer('n2');
  expect(first).toEqual({ status: 200, body: { ok: true, balance: 40 } });

  await cluster.kill(leader);
  const [one, other] = ['n1', 'n2', 'n3'].filter((id) => id !== leader) as [string, string];
  await eventually('a retry gets the first answer from the next leader', async () => {
    const again = await transfer(one);
    if (again.status !== 200) return undefined;
    expect(again).toEqual(first);
    return true;
  });
  expect(await balance(other, 'grace')).toEqual({ balance: 60 });
  expect(await post(other, 'transfers', { from: 'ada', to: 'grace', amount: 41 })).toMatchObject({
    status: 409,
  });

  cluster.launch(leader);
  await cluster.ready();
  const equal = await eventually('the node that came back has the same state', async () => {
    const seen = await Promise.all(['n1', 'n2', 'n3'].map((id) => group(id)));
    const marks = seen.map((found) => `${found?.lastApplied} ${found?.stateHash}`);
    return new Set(marks).size === 1 ? marks[0] : undefined;
  });
  expect(equal).toMatch(/^\d+ [0-9a-f]{16}$/);
  expect(await balance(leader, 'ada')).toEqual({ balance: 40 });
});
