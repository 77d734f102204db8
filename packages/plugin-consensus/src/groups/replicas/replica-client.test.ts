import type { IPeerTransport, PeerRequestOptions } from '@datawarehouse/sdk';
import { expect, it } from 'vitest';
import { bootstrapConf } from '../placement.js';
import { ReplicaClient } from './replica-client.js';
import { encodeAnswer } from './replica-messages.js';
import type { ReplicaRequest } from './replica-messages.js';

it('asks to open a replica on the lane of what is said to it, and for all else on that of long messages', async () => {
  // Given a transport that notes the lanes.
  const lanes: unknown[] = [];
  const transport = {
    request: async (_peer: string, _channel: string, _bytes: Uint8Array, options: PeerRequestOptions) => {
      lanes.push(options.lane);
      return encodeAnswer({});
    },
  } as unknown as IPeerTransport;
  const client = new ReplicaClient(transport);
  const open: ReplicaRequest = {
    kind: 'open',
    groupId: 'g',
    machine: 'key-value',
    bootstrap: bootstrapConf(['n1']),
    term: 3,
    index: 7,
    replace: true,
    recovered: [],
  };
  // When it asks, then only what may empty a replica is in one row with Raft's own messages.
  await client.ask('n2', open);
  await client.ask('n2', { kind: 'report', held: ['g'], damaged: [], notes: {} });
  expect(lanes).toEqual(['control', 'bulk']);
});
