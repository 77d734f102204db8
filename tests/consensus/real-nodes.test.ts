// Three engines on real sockets and real files: what the tests in memory show holds on these, too.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TcpPeerTransport } from '@datawarehouse/plugin-cluster';
import type { Logger } from '@datawarehouse/sdk';
import { SystemClock } from '@datawarehouse/sdk';
import { afterEach, expect, it } from 'vitest';
import {
  freeAddresses,
  identity,
  transportOptions,
} from '../../packages/plugin-cluster/src/testing.test.kit.js';
import { MultiRaftEngine } from '../../packages/plugin-consensus/src/engine/multi-raft-engine.js';
import { GroupRouter } from '../../packages/plugin-consensus/src/groups/group-router.js';
import { HashRing } from '../../packages/plugin-consensus/src/groups/hash-ring.js';
import { KeyValueService } from '../../packages/plugin-consensus/src/groups/key-value-service.js';
import { placeGroups } from '../../packages/plugin-consensus/src/groups/placement.js';
import type { ConsensusLimits } from '../../packages/plugin-consensus/src/scaling/consensus-limits.js';
import { CONSENSUS_LIMITS } from '../../packages/plugin-consensus/src/scaling/consensus-limits.js';
import { FileNodeStorage } from '../../packages/plugin-consensus/src/storage/index.js';
import { eventually } from '../support/processes.js';

const IDS = ['n1', 'n2', 'n3'];
const PLACEMENTS = placeGroups(IDS, 3, 3);
const GROUPS = PLACEMENTS.map(({ id }) => id);
const RING = new HashRing(GROUPS);
const groupOf = (key: string): string => RING.groupOf(key);
const LIMITS: ConsensusLimits = {
  ...(Object.fromEntries(
    Object.entries(CONSENSUS_LIMITS).map(([name, limit]) => [name, limit.default]),
  ) as ConsensusLimits),
  snapshotEntries: 200,
  maxCacheEntries: 20,
  requestTimeoutMs: 30_000,
};

const silent: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silent,
};

interface Node {
  readonly engine: MultiRaftEngine;
  readonly store: KeyValueService;
  readonly stop: () => Promise<void>;
}

let directory = '';
let addresses: Record<string, string> = {};
const nodes = new Map<string, Node>();

async function start(id: string): Promise<void> {
  const clock = new SystemClock();
  const transport = new TcpPeerTransport(
    transportOptions(id, addresses, {
      identity: identity(id, { incarnation: `${id}-${performance.now()}` }),
    }),
  );
  const storage = await FileNodeStorage.open({ directory: join(directory, id) });
  const limits = (): ConsensusLimits => LIMITS;
  const engine = new MultiRaftEngine({ nodeId: id, transport, storage, clock, log: silent, limits });
  const router = new GroupRouter(engine, transport, clock, silent, PLACEMENTS, groupOf, limits);
  await transport.start();
  await engine.start(PLACEMENTS);
  nodes.set(id, {
    engine,
    store: new KeyValueService(router, GROUPS, groupOf, limits),
    stop: async () => {
      nodes.delete(id);
      router.stop();
      await engine.stop();
      await transport.close();
      await storage.close();
    },
  });
}

function node(id: string): Node {
  const found = nodes.get(id);
  if (found === undefined) throw new Error(`${id} does not run`);
  return found;
}

async function begin(): Promise<void> {
  directory = await mkdtemp(join(tmpdir(), 'dw-real-nodes-'));
  addresses = await freeAddresses(IDS);
  await Promise.all(IDS.map(start));
}

afterEach(async () => {
  await Promise.all([...nodes.values()].map((each) => each.stop()));
  await rm(directory, { recursive: true, force: true });
});

/** Waits until all nodes have applied the same and agree on it. */
async function agreed(): Promise<void> {
  await eventually('equal states', async () => {
    const same = GROUPS.every((group) => {
      const hashes = IDS.map((id) => node(id).engine.group(group)?.status().stateHash);
      return hashes[0] !== undefined && new Set(hashes).size === 1;
    });
    return same ? true : undefined;
  });
}

it('many concurrent writers on all nodes are all served, and the replicas agree', async () => {
  await begin();
  // So many that even a node that relays for both others, in a change of leaders, stays within its bound.
  const writes = Array.from({ length: 300 }, (_, n) =>
    node(IDS[n % 3] as string).store.putAsync(`key-${n}`, Buffer.from(`value-${n}`)),
  );
  await Promise.all(writes);
  const reads = await Promise.all(
    Array.from({ length: 300 }, (_, n) => node(IDS[(n + 1) % 3] as string).store.getAsync(`key-${n}`)),
  );
  reads.forEach((found, n) => expect(Buffer.from(found?.value ?? []).toString()).toBe(`value-${n}`));
  await agreed();
});

it('values of the largest size pass between all nodes', async () => {
  await begin();
  const value = Buffer.alloc(4 * 1024 * 1024, 7);
  await node('n1').store.putAsync('warm', value);
  for (let n = 0; n < 6; n++) await node(IDS[n % 3] as string).store.putAsync(`large-${n}`, value);
  for (let n = 0; n < 6; n++) {
    const found = await node(IDS[(n + 2) % 3] as string).store.getAsync(`large-${n}`);
    expect(Buffer.compare(found?.value ?? Buffer.alloc(0), value)).toBe(0);
  }
});

it('a node that was away gets a snapshot over the network, and all survive a restart', async () => {
  await begin();
  await node('n1').store.putAsync('first', Buffer.from('1'));
  await node('n3').stop();
  for (let round = 0; round < 20; round++) {
    await Promise.all(
      Array.from({ length: 60 }, (_, n) =>
        node(IDS[n % 2] as string).store.putAsync(`key-${n}`, Buffer.alloc(2_000, round)),
      ),
    );
  }
  await eventually('compacted logs', async () =>
    GROUPS.some((group) => (node('n1').engine.group(group)?.storage.firstIndex() ?? 0) > 20)
      ? true
      : undefined,
  );
  await start('n3');
  await agreed();
  for (const id of IDS) await node(id).stop();
  await Promise.all(IDS.map(start));
  for (const id of IDS) {
    const found = await node(id).store.getAsync('key-59');
    expect(found?.value[0]).toBe(19);
    expect(Buffer.from((await node(id).store.getAsync('first'))?.value ?? []).toString()).toBe('1');
  }
  await agreed();
});
