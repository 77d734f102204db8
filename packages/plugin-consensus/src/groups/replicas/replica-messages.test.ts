// Requests about replicas come out as they went in, and whatever else arrives is refused.

import fc from 'fast-check';
import { isDwError } from '@datawarehouse/sdk';
import { expect, it } from 'vitest';
import { bootstrapConf } from '../placement.js';
import type { ReplicaRequest } from './replica-messages.js';
import { decodeReplicaRequest, encodeReplicaRequest } from './replica-messages.js';

const recovered = [{ time: '2026-01-01T00:00:00.000Z', by: 'n1', voters: ['n1'], lastIndex: 7 }];
const requests: readonly ReplicaRequest[] = [
  {
    kind: 'open',
    groupId: 'g',
    machine: 'm',
    bootstrap: bootstrapConf(['n1']),
    term: 3,
    index: 7,
    replace: true,
    recovered,
  },
  { kind: 'destroy', groupId: 'g', index: 7 },
  { kind: 'ask', groupId: 'g' },
  { kind: 'inspect', groupId: 'g' },
  { kind: 'note', groupId: 'g', role: 'witness' },
  { kind: 'report', held: ['g'], damaged: [], notes: { g: 'voter' } },
  { kind: 'recover', groupId: 'g', term: 3, lastIndex: 7, lastTerm: 2 },
  { kind: 'change', groupId: 'g', add: ['n4'], addLearners: [], addWitnesses: [], remove: ['n1'] },
];

it.each(requests)('$kind comes out as it went in', (request) => {
  expect(decodeReplicaRequest(encodeReplicaRequest(request))).toEqual(request);
});

it('what is no request is refused, whatever it is', () => {
  const fields = fc.record(
    {
      kind: fc.constantFrom('open', 'destroy', 'ask', 'note', 'report', 'recover', 'change', 'x'),
      groupId: fc.oneof(fc.string(), fc.integer()),
      index: fc.anything(),
      bootstrap: fc.anything(),
      notes: fc.anything(),
      held: fc.anything(),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(fc.oneof(fields, fc.anything()), (value) => {
      try {
        decodeReplicaRequest(Buffer.from(JSON.stringify(value) ?? ''));
      } catch (error) {
        if (!isDwError(error, 'frame-malformed')) throw error;
      }
    }),
  );
});
