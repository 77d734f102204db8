import { MAX_CLUSTER_NODES } from '@datawarehouse/sdk';
import { FakeClock } from '@datawarehouse/sdk/testing';
import { beforeEach, describe, expect, it } from 'vitest';
import { identity, memoryLog } from '../testing.test.kit.js';
import { ClusterDirectory } from './cluster-directory.js';

let told: string[];
let transport: string[];
let directory: ClusterDirectory;
let log: ReturnType<typeof memoryLog>;

beforeEach(() => {
  told = [];
  transport = [];
  log = memoryLog();
  directory = new ClusterDirectory({
    local: identity('n1'),
    peers: { n1: '127.0.0.1:1', n2: '127.0.0.1:2' },
    localAddress: '127.0.0.1:1',
    clock: new FakeClock(),
    unreachableAfterMs: 1_000,
    transport: {
      admit: (id, address) => void transport.push(`+${id} ${address}`),
      dismiss: (id) => transport.push(`-${id}`) > 0,
    },
    log,
  });
  directory.onChanged(({ action, nodeId, endpoint }) => told.push(`${nodeId} ${action} ${endpoint}`));
});

describe('members that come and go at run time', () => {
  it('shows an admitted node with the API it was announced with, and tells that it joined once it is there', () => {
    directory.admit({ id: 'n3', peer: '127.0.0.1:3', http: 'http://n3' });
    expect(directory.node('n3')).toMatchObject({
      peer: '127.0.0.1:3',
      http: 'http://n3',
      state: 'unreachable',
    });
    expect(told).toEqual([]);
    directory.connected(identity('n3'));
    expect(told).toEqual(['n3 joined 127.0.0.1:3']);
    expect(directory.nodes().map(({ id }) => id)).toEqual(['n1', 'n2', 'n3']);
    expect(transport).toEqual(['+n3 127.0.0.1:3']);
  });

  it('tells that a dismissed node was removed, once, and hears nothing of it any more', () => {
    directory.connected(identity('n2'));
    expect(directory.dismiss('n2')).toBe(true);
    directory.disconnected('n2');
    directory.connected(identity('n2'));
    expect(told).toEqual(['n2 joined 127.0.0.1:2', 'n2 removed 127.0.0.1:2']);
    expect(directory.dismiss('n2')).toBe(false);
    expect(directory.node('n2')).toBeUndefined();
    expect(transport).toEqual(['-n2']);
  });

  it('neither admits nor dismisses the node itself', () => {
    directory.admit({ id: 'n1', peer: '127.0.0.1:9' });
    expect(directory.dismiss('n1')).toBe(false);
    expect(directory.node('n1')).toMatchObject({ peer: '127.0.0.1:1', state: 'alive' });
    expect(transport).toEqual([]);
  });

  it('moves a member to another address and keeps what is known of it', () => {
    directory.connected(identity('n2'));
    directory.admit({ id: 'n2', peer: '127.0.0.1:22' });
    expect(directory.node('n2')).toMatchObject({ peer: '127.0.0.1:22', pid: process.pid });
  });

  it('has a bound', () => {
    for (let n = 3; n <= MAX_CLUSTER_NODES; n++) directory.admit({ id: `n${n}`, peer: `127.0.0.1:${n}` });
    const refused = (): void => directory.admit({ id: 'one-more', peer: '127.0.0.1:9' });
    expect(refused).toThrow(expect.objectContaining({ code: 'cluster-full' }));
    expect(directory.nodes()).toHaveLength(MAX_CLUSTER_NODES);
    // A member that is known is no further one.
    directory.admit({ id: 'n2', peer: '127.0.0.1:22' });
  });

  it('goes on telling the others when a listener throws, and says so in the log', () => {
    const bad = directory.onChanged(() => {
      throw new Error('broken');
    });
    const after: string[] = [];
    directory.onChanged(({ nodeId }) => after.push(nodeId));
    directory.connected(identity('n2'));
    expect(after).toEqual(['n2']);
    expect(log.lines.map(({ level }) => level)).toEqual(['error']);
    bad[Symbol.dispose]();
    directory.disconnected('n2');
    expect(log.lines).toHaveLength(1);
  });
});
