import { SystemClock } from '@datawarehouse/sdk';
import { expect, it } from 'vitest';
import type { GroupRouter } from '../group-router.js';
import type { ReplicaClient } from '../replicas/replica-client.js';
import type { MemberChanges } from './member-changes.js';
import { MemberService } from './member-service.js';
import type { MemberRequest } from './member-request.js';

it('a change whose leadership never settles ends, and may have happened in part', async () => {
  // Given a group in which every leader hands the rest of the change on.
  const request: MemberRequest = { add: ['n4'], addLearners: [], addWitnesses: [], remove: [] };
  let asked = 0;
  const router = {
    atLeader: async () => {
      asked++;
      return { kind: 'handed-over', rest: request };
    },
  } as unknown as GroupRouter;
  const service = new MemberService(router, {} as MemberChanges, {} as ReplicaClient, new SystemClock(false));
  // When it is asked for, then it is not asked for again without end.
  await expect(service.change('g', request)).rejects.toMatchObject({
    code: 'outcome-unknown',
    message: expect.stringContaining('members of group g') as string,
  });
  expect(asked).toBeLessThan(20);
});
