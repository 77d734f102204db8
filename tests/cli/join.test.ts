// A fourth process joins a running cluster with one command, and is one of its nodes from then on.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { TestProcess, eventually, freePortBlock } from '../support/processes.js';

interface ClusterView {
  readonly nodes: readonly { readonly id: string; readonly state: string; readonly http: string }[];
}

let directory: string;
let base: number;
let up: TestProcess;
let fourth: TestProcess | undefined;

const url = (n: number): string => `http://127.0.0.1:${base + n - 1}`;

async function get<T>(n: number, path: string): Promise<T> {
  return (await (await fetch(url(n) + path)).json()) as T;
}

async function post(n: number, path: string, body: unknown): Promise<{ status: number; body: unknown }> {
  const response = await fetch(url(n) + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: await response.json() };
}

function joinIt(): TestProcess {
  return TestProcess.dw('n4', ['start', '--join', url(1), '--data-dir', join(directory, 'fourth')]);
}

async function ready(n: number): Promise<void> {
  await eventually(`n${n} ready`, async () => {
    const response = await fetch(`${url(n)}/readyz`);
    await response.arrayBuffer();
    return response.ok ? true : undefined;
  });
}

async function alive(n: number, nodes: string): Promise<void> {
  await eventually(`n${n} sees ${nodes}`, async () => {
    const view = await get<ClusterView>(n, '/v1/cluster');
    const ids = view.nodes.filter(({ state }) => state === 'alive').map(({ id }) => id);
    return ids.join(' ') === nodes && view.nodes.length === ids.length ? true : undefined;
  });
}

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'dw-join-'));
  base = await freePortBlock();
  up = TestProcess.dw('up', ['up', '--base-port', String(base), '--data-dir', join(directory, 'data')]);
  await up.until(`ready ${url(1)}`);
});

afterEach(async () => {
  await fourth?.kill();
  up.signal('SIGTERM');
  await up.exited;
  await rm(directory, { recursive: true });
});

it('joins by one command, serves every key, votes when asked to, and comes back after a kill', async () => {
  fourth = joinIt();
  await fourth.until(`ready ${url(4)}`);
  await ready(4);
  for (const n of [1, 2, 3, 4]) await alive(n, 'n1 n2 n3 n4');

  // It has no replica, and everything can be written and read through it.
  for (const key of ['a', 'b', 'c', 'd', 'e', 'f']) {
    const written = await fetch(`${url(4)}/v1/kv/${key}`, { method: 'PUT', body: `value of ${key}` });
    expect(written.status).toBe(200);
    expect(await (await fetch(`${url(2)}/v1/kv/${key}`)).text()).toBe(`value of ${key}`);
    expect(await (await fetch(`${url(4)}/v1/kv/${key}`)).text()).toBe(`value of ${key}`);
  }

  expect(await post(4, '/v1/groups/group-1/members', { add: ['n4'] })).toMatchObject({
    status: 200,
    body: { voters: ['n1', 'n2', 'n3', 'n4'] },
  });
  // Where groups are found is known everywhere, and the directory is no group of users.
  await eventually('the directory knows it', async () => {
    const { groups } = await get<{ groups: { id: string; voters: string[] }[] }>(2, '/v1/cluster/directory');
    return groups.find(({ id }) => id === 'group-1')?.voters.includes('n4') === true ? true : undefined;
  });
  expect((await get<{ id: string }[]>(1, '/v1/groups')).map(({ id }) => id)).not.toContain('directory');
  expect((await get<{ id: string }[]>(1, '/v1/groups?system=true')).map(({ id }) => id)).toContain(
    'directory',
  );

  await fourth.kill();
  fourth = joinIt();
  await fourth.until(`ready ${url(4)}`);
  await ready(4);
  await alive(1, 'n1 n2 n3 n4');
  expect(await (await fetch(`${url(4)}/v1/kv/a`)).text()).toBe('value of a');
  const config = JSON.parse(await readFile(join(directory, 'fourth', 'node.json'), 'utf8')) as {
    nodeId: string;
  };
  expect(config.nodeId).toBe('n4');
}, 120_000);

/** Clients that write and read through these nodes until `finish`, which gives whatever was no success. */
function load(nodes: readonly number[]): {
  readonly done: () => number;
  finish(): Promise<readonly string[]>;
} {
  const failures: string[] = [];
  let stopping = false;
  let done = 0;
  const client = async (id: number): Promise<void> => {
    for (let turn = 0; !stopping; turn++) {
      const through = nodes[(id + turn) % nodes.length] ?? 1;
      const key = `load-${id}-${turn % 20}`;
      const written = await fetch(`${url(through)}/v1/kv/${key}`, { method: 'PUT', body: `${turn}` });
      const said = await written.text();
      if (!written.ok) failures.push(`put through n${through}: ${said}`);
      const other = nodes[(id + turn + 1) % nodes.length] ?? 1;
      const read = await fetch(`${url(other)}/v1/kv/${key}`);
      const found = await read.text();
      if (!read.ok || found !== `${turn}`) failures.push(`get through n${other}: ${found} is not ${turn}`);
      done++;
    }
  };
  const clients = [0, 1, 2, 3].map((id) => client(id));
  return {
    done: () => done,
    finish: async () => {
      stopping = true;
      await Promise.all(clients);
      return failures;
    },
  };
}

it('retires a node by one command, under load and without an error to clients of the others', async () => {
  fourth = joinIt();
  await fourth.until(`ready ${url(4)}`);
  for (const n of [1, 2, 3, 4]) await alive(n, 'n1 n2 n3 n4');
  const clients = load([1, 3, 4]);
  await eventually('some load', async () => (clients.done() > 20 ? true : undefined));

  const retire = TestProcess.dw('retire', ['nodes', 'retire', 'n2', '--url', url(1)]);
  expect(await retire.exited, retire.output).toMatchObject({ code: 0 });
  const before = clients.done();
  await eventually('more load', async () => (clients.done() > before + 20 ? true : undefined));
  expect(await clients.finish()).toEqual([]);

  for (const n of [1, 3, 4]) await alive(n, 'n1 n3 n4');
  const groups = await get<{ id: string; voters: string[] }[]>(4, '/v1/groups?system=true');
  expect(groups.map(({ id, voters }) => `${id} ${voters.join(' ')}`).sort()).toEqual([
    'directory n1 n3 n4',
    'group-1 n1 n3 n4',
    'group-2 n1 n3 n4',
    'group-3 n1 n3 n4',
  ]);
  // It says so itself, takes part in nothing, and can be stopped; nobody misses it.
  await eventually('it says that it was retired', async () => {
    const { reasons } = await get<{ reasons: readonly string[] }>(2, '/readyz');
    return reasons.some((reason) => reason.includes('retired')) ? true : undefined;
  });
  await eventually('it refuses', async () => {
    const response = await fetch(`${url(2)}/v1/kv/a`);
    const { code } = (await response.json()) as { code: string };
    return code === 'node-retired' ? true : undefined;
  });
  const listed = TestProcess.dw('nodes', ['nodes', '--json', '--url', url(4)]);
  await listed.exited;
  const shown = JSON.parse(listed.output) as {
    id: string;
    state: string;
    holds: string[];
    leads: string[];
  }[];
  expect(shown.map(({ id, state }) => `${id} ${state}`)).toEqual(['n1 member', 'n3 member', 'n4 member']);
  expect(shown.flatMap(({ leads }) => leads).sort()).toEqual(['directory', 'group-1', 'group-2', 'group-3']);
  expect(await post(1, '/v1/cluster/retire', { nodeId: 'n2' })).toMatchObject({
    status: 404,
    body: { code: 'node-unknown' },
  });
}, 180_000);

it('joins a single node that asks for a token, and votes there, since voters are missing', async () => {
  const token = 'a-token-that-is-long-enough';
  const alone = await freePortBlock();
  const config = join(directory, 'alone.json');
  await writeFile(
    config,
    JSON.stringify({
      nodeId: 'n1',
      dataDir: join(directory, 'alone'),
      http: { port: alone, token },
      peer: { port: alone + 100 },
      peers: { n1: `127.0.0.1:${alone + 100}` },
      plugins: [{ package: '@datawarehouse/plugin-cluster' }, { package: '@datawarehouse/plugin-consensus' }],
    }),
  );
  const first = TestProcess.dw('n1', ['start', '--config', config]);
  const second = ['start', '--join', `http://127.0.0.1:${alone}`, '--data-dir', join(directory, 'second')];
  let other: TestProcess | undefined;
  try {
    await first.until('ready http');
    const refused = TestProcess.dw('n2', second);
    expect((await refused.exited).code, refused.output).toBe(1);
    expect(refused.output).toContain('unauthorized');

    other = TestProcess.dw('n2', [...second, '--config', config], {
      env: { ...process.env, DW_TOKEN: token },
    });
    await other.until(`ready http://127.0.0.1:${alone + 1}`);
    await eventually('n2 votes', async () => {
      const response = await fetch(`http://127.0.0.1:${alone + 1}/v1/groups?system=true`, {
        headers: { authorization: `Bearer ${token}` },
      });
      const groups = (await response.json()) as { voters: string[] }[];
      return groups.length === 4 && groups.every(({ voters }) => voters.join(' ') === 'n1 n2')
        ? true
        : undefined;
    });
  } finally {
    await other?.kill();
    await first.kill();
  }
}, 120_000);

it('refuses an id of another node, and answers whoever asks again', async () => {
  const mine = { peer: '127.0.0.1:1', http: 'http://127.0.0.1:2' };
  const first = await post(2, '/v1/cluster/join', mine);
  expect(first).toMatchObject({ status: 200, body: { nodeId: 'n4', groups: 3, votersPerGroup: 3 } });
  expect((await post(3, '/v1/cluster/join', mine)).body).toMatchObject({ nodeId: 'n4' });
  expect(await post(1, '/v1/cluster/join', { ...mine, nodeId: 'n2' })).toMatchObject({
    status: 409,
    body: { code: 'node-id-taken' },
  });
  expect(await post(1, '/v1/cluster/join', { ...mine, nodeId: 'n9' })).toMatchObject({
    status: 409,
    body: { code: 'node-address-taken' },
  });
  for (const wrong of [{ ...mine, peer: 'x' }, { ...mine, nodeId: '../x' }, { ...mine, peer: 'a:0' }, {}]) {
    expect((await post(1, '/v1/cluster/join', wrong)).status).toBeGreaterThanOrEqual(400);
    expect((await post(1, '/v1/cluster/join', wrong)).status).toBeLessThan(500);
  }
}, 120_000);
