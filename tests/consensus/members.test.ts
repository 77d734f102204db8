// Real host processes whose members change, whose disks are wiped, and whose majority is lost, while clients write.

import { readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { TestCluster } from '../support/cluster.js';
import type { GroupView } from '../support/cluster.js';
import { eventually } from '../support/processes.js';

const GROUP = 'group-1';

interface Members extends GroupView {
  readonly voters: readonly string[];
  readonly learners: readonly string[];
  readonly recovered?: readonly { readonly by: string }[];
}

let cluster: TestCluster;

afterEach(() => cluster.stop());

async function begin(nodes: number): Promise<void> {
  cluster = await TestCluster.create({ nodes, groups: 1, proxied: false });
  await cluster.start();
}

const url = (id: string, path: string): string => `${cluster.node(id).url}${path}`;

async function call(
  id: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<{ status: number; json: unknown }> {
  const response = await fetch(url(id, path), {
    method,
    ...(body === undefined
      ? {}
      : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  });
  return { status: response.status, json: await response.json() };
}

async function members(id: string, request: unknown): Promise<Members> {
  const { status, json } = await call(id, 'POST', `/v1/groups/${GROUP}/members`, request);
  expect(`${status} ${JSON.stringify(json)}`).toMatch(/^200 /);
  return json as Members;
}

async function view(id: string): Promise<Members> {
  const groups = (await cluster.groups(id)) as readonly Members[];
  return groups.find((group) => group.id === GROUP) as Members;
}

/** Clients that write each key once, by nodes in turn, until they are stopped. */
function writers(ids: readonly string[]) {
  const written: string[] = [];
  const failures: unknown[] = [];
  let stopping = false;
  const loops = ids.map(async (id, n) => {
    for (let serial = 0; !stopping; serial++) {
      const key = `key-${n}-${serial}`;
      try {
        const response = await fetch(url(id, `/v1/kv/${key}`), { method: 'PUT', body: key });
        const text = await response.text();
        if (response.ok) written.push(key);
        else failures.push({ id, status: response.status, text });
      } catch (error) {
        failures.push(error);
        return;
      }
    }
  });
  return {
    written,
    failures,
    stop: async () => {
      stopping = true;
      await Promise.all(loops);
    },
  };
}

async function allFound(id: string, keys: readonly string[]): Promise<void> {
  const found = new Set<string>();
  for (let after = ''; ;) {
    const path = `/v1/kv?prefix=key-&limit=1000&after=${encodeURIComponent(after)}`;
    const { status, json } = await call(id, 'GET', path);
    expect(status).toBe(200);
    const { items, next } = json as { items: readonly { key: string }[]; next?: string };
    for (const { key } of items) found.add(key);
    if (next === undefined || next === null) break;
    after = next;
  }
  expect(keys.filter((key) => !found.has(key))).toEqual([]);
  for (const key of keys.slice(-5)) {
    const response = await fetch(url(id, `/v1/kv/${key}`));
    expect(`${response.status} ${await response.text()}`).toBe(`200 ${key}`);
  }
}

it('nodes are added, replaced and removed, the leader among them, and no client sees an error', async () => {
  await begin(4);
  const clients = writers(['n1', 'n2', 'n3', 'n4']);
  const some = (): Promise<true> => {
    const enough = clients.written.length + 50;
    return eventually('writes', async () => (clients.written.length > enough ? true : undefined));
  };
  await some();
  expect(await members('n2', { addLearners: ['n4'] })).toMatchObject({ learners: ['n4'] });
  expect(await members('n3', { add: ['n4'], remove: ['n2'] })).toMatchObject({ voters: ['n1', 'n3', 'n4'] });
  expect(await members('n2', { add: ['n2'] })).toMatchObject({ voters: ['n1', 'n2', 'n3', 'n4'] });
  const first = (await view('n1')).leader as string;
  await some();
  const after = await members('n1', { remove: [first] });
  await some();
  expect(after.voters).toHaveLength(3);
  expect(after.voters).not.toContain(first);
  await clients.stop();
  expect(clients.failures).toEqual([]);
  await allFound(first, clients.written);
  // A contradiction is refused whole, as a problem document.
  const refused = await call('n1', 'POST', `/v1/groups/${GROUP}/members`, { add: ['n9'] });
  expect(refused).toMatchObject({ status: 422, json: { code: 'members-invalid' } });
  const malformed = await call('n1', 'POST', `/v1/groups/${GROUP}/members`, { adds: ['n4'] });
  expect(malformed.status).toBe(400);
});

it('a node whose directory was emptied comes back and votes, by itself, while clients write', async () => {
  await begin(3);
  const clients = writers(['n1', 'n2']);
  await cluster.kill('n3');
  await rm(join(cluster.directory, 'n3'), { recursive: true, force: true });
  cluster.launch('n3');
  await cluster.ready(['n3']);
  await eventually('n3 votes again', async () => {
    const { voters, learners } = await view('n1');
    return voters.includes('n3') && learners.length === 0 ? true : undefined;
  });
  await clients.stop();
  expect(clients.failures).toEqual([]);
  await eventually('equal states', async () => {
    const hashes = await Promise.all(['n1', 'n2', 'n3'].map(async (id) => (await view(id)).stateHash));
    return new Set(hashes).size === 1 ? true : undefined;
  });
  await allFound('n3', clients.written);
});

it('a replica with a flipped bit is named, leaves the node serving, and is repaired from its peers', async () => {
  await begin(3);
  const clients = writers(['n1']);
  await eventually('writes', async () => (clients.written.length > 200 ? true : undefined));
  await clients.stop();
  await eventually('n3 has all', async () =>
    (await view('n3')).lastApplied === (await view('n1')).lastApplied ? true : undefined,
  );
  expect((await call('n3', 'POST', `/v1/groups/${GROUP}/snapshot`)).status).toBe(200);
  cluster.signal('n3', 'SIGTERM');
  await cluster.node('n3').process?.exited;
  const raft = join(cluster.directory, 'n3', 'plugins', 'com.datawarehouse.consensus.ultimate', 'raft');
  const names = await readdir(raft, { recursive: true });
  const snapshot = names.find((name) => name.includes(GROUP) && name.endsWith('.snap'));
  const file = join(raft, snapshot ?? `no snapshot among ${names.join(' ')}`);
  const bytes = await readFile(file);
  const middle = bytes.length >> 1;
  bytes.writeUInt8(bytes.readUInt8(middle) ^ 4, middle);
  await writeFile(file, bytes);
  cluster.launch('n3');
  const damaged = await eventually('it is shown, or repaired already', async () => {
    const { output = '' } = cluster.node('n3').process ?? {};
    return /damaged/.test(output) ? output : undefined;
  });
  expect(damaged).toContain(snapshot);
  await cluster.ready(['n3']);
  await eventually('n3 votes again', async () => {
    const { voters, learners } = await view('n1');
    const same = (await view('n3')).stateHash === (await view('n1')).stateHash;
    return voters.includes('n3') && learners.length === 0 && same ? true : undefined;
  });
  await allFound('n3', clients.written);
});

it('a group whose majority is gone for good goes on after an operator confirmed the plan', async () => {
  await begin(3);
  const clients = writers(['n1']);
  await eventually('writes', async () => (clients.written.length > 20 ? true : undefined));
  await clients.stop();
  const early = await call('n1', 'POST', `/v1/groups/${GROUP}/recover`, {});
  expect(early).toMatchObject({ status: 409, json: { code: 'group-not-lost' } });
  await eventually('n3 has all', async () =>
    (await view('n3')).lastApplied === (await view('n1')).lastApplied ? true : undefined,
  );
  await cluster.kill('n1');
  await cluster.kill('n2');
  const plan = await eventually('a plan', async () => {
    const { status, json } = await call('n3', 'POST', `/v1/groups/${GROUP}/recover`, {});
    return status === 200 ? (json as { plan: { token: string; chosen: string } }).plan : undefined;
  });
  expect(plan.chosen).toBe('n3');
  const done = await call('n3', 'POST', `/v1/groups/${GROUP}/recover`, { confirm: plan.token });
  expect(done).toMatchObject({ status: 200, json: { recovered: { by: 'n3' } } });
  await cluster.ready(['n3']);
  await allFound('n3', clients.written);
  expect((await call('n3', 'GET', '/v1/groups')).json).toMatchObject([{ recovered: [{ by: 'n3' }] }]);
});
