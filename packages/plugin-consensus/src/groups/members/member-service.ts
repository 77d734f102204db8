// Member changes as clients ask for them, on any node: brought to the group's leader, and on to the next one when a
// leader removes itself.

import type { Clock } from '@datawarehouse/sdk';
import { isDwError } from '@datawarehouse/sdk';
import type { GroupRouter } from '../group-router.js';
import type { ReplicaClient } from '../replicas/replica-client.js';
import type { ChangeOutcome, MemberChanges } from './member-changes.js';
import { memberChangeUnknown } from './member-errors.js';
import type { MemberRequest, MemberView } from './member-request.js';

/** A change may have to move a whole snapshot first. */
const CHANGE_MS = 15 * 60_000;
/** A leader that removes itself hands over once; that leadership moves meanwhile is rare. */
const MAX_HAND_OVERS = 8;

/** Changes members through the leader, wherever it is. */
export class MemberService {
  constructor(
    private readonly router: GroupRouter,
    private readonly changes: MemberChanges,
    private readonly client: ReplicaClient,
    private readonly clock: Clock,
  ) {}

  /** @throws DwError as {@link MemberChanges.change}; `no-leader`; `outcome-unknown` when leadership does not settle. */
  async change(groupId: string, request: MemberRequest): Promise<MemberView> {
    const deadline = this.clock.now() + CHANGE_MS;
    let rest = request;
    for (let n = 0; ; n++) {
      const outcome = await this.atLeader(groupId, rest, deadline);
      if (outcome.kind === 'done') return outcome.view;
      if (n >= MAX_HAND_OVERS)
        throw memberChangeUnknown(groupId, `its leadership moved ${n} times meanwhile`);
      ({ rest } = outcome);
    }
  }

  private atLeader(groupId: string, request: MemberRequest, deadline: number): Promise<ChangeOutcome> {
    const { add, addLearners, addWitnesses, remove } = request;
    let lost: unknown;
    return this.router.atLeader(
      groupId,
      deadline,
      () => this.changes.change(groupId, request),
      async (peer) => {
        const asked = { kind: 'change', groupId, add, addLearners, addWitnesses, remove } as const;
        try {
          // The peer answers with what this same code made.
          return (await this.client.ask(peer, asked, CHANGE_MS)) as unknown as ChangeOutcome;
        } catch (error) {
          // A connection may break, and a policy may end what takes long; the leader goes on with it all the same.
          if (isDwError(error, 'peer-timeout') || isDwError(error, 'peer-disconnected')) lost = error;
          // It is most likely this request that keeps the leader busy, and what is done then is not done again.
          const goesOn = isDwError(error, 'members-busy') || isDwError(error, 'peer-not-introduced');
          throw lost !== undefined && goesOn ? lost : error;
        }
      },
    );
  }
}
