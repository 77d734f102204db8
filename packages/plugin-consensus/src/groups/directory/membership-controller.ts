// Carries out what the membership plan says, on the node that leads the directory: takes retiring nodes out of their
// groups, gives new nodes to groups that need voters, and removes who has left. What is to be done is in the directory,
// so that the next leader goes on where one ended; every change can be repeated.

import type { Clock, IClusterDirectory, Logger, RaftGroupStatus, TimerHandle } from '@datawarehouse/sdk';
import { errorMessage } from '@datawarehouse/sdk';
import type { MemberRequest } from '../members/member-request.js';
import type { DirectoryAnswer, DirectoryCommand } from './directory-command.js';
import type { DirectoryView } from './directory-types.js';
import type { MembershipPlan } from './membership-plan.js';
import { planMembership } from './membership-plan.js';

const LOOK_EVERY_MS = 1_000;
/** Looks that are left out after a change that failed. */
const REST_LOOKS = 2;

/** What the controller acts through. */
export interface MembershipControllerOptions {
  readonly cluster: IClusterDirectory;
  readonly clock: Clock;
  readonly log: Logger;
  /** Whether this node leads the directory. */
  readonly leads: () => boolean;
  readonly view: () => DirectoryView;
  readonly submit: (command: DirectoryCommand) => Promise<DirectoryAnswer>;
  /** Changes the members of a group, wherever its leader is. */
  readonly change: (groupId: string, request: MemberRequest) => Promise<unknown>;
  readonly status: (groupId: string) => Promise<RaftGroupStatus>;
}

/** Moves replicas as nodes come and go. */
export class MembershipController {
  private readonly timer: TimerHandle;
  private running = false;
  private rest = 0;
  private stopped = false;

  constructor(private readonly options: MembershipControllerOptions) {
    this.timer = options.clock.setInterval(() => this.look(), LOOK_EVERY_MS);
  }

  stop(): void {
    this.stopped = true;
    this.timer.cancel();
  }

  /** Whether a node can be reached from here. */
  readonly reachable = (id: string): boolean => {
    const { cluster } = this.options;
    return id === cluster.localId || cluster.node(id)?.state === 'alive';
  };

  private look(): void {
    if (this.running || this.stopped || !this.options.leads()) return;
    if (this.rest > 0) {
      this.rest--;
      return;
    }
    const view = this.options.view();
    if (view.nodes.every(({ state }) => state === 'member')) return;
    const plan = planMembership(view, this.reachable);
    if (plan.changes.length + plan.settled.length + plan.leaving.length === 0) return;
    this.running = true;
    this.carryOut(plan)
      .catch((error: unknown) => {
        this.rest = REST_LOOKS;
        this.options.log.warn(
          { reason: errorMessage(error) },
          'a change of members did not succeed; it is tried again',
        );
      })
      .finally(() => {
        this.running = false;
      });
  }

  private async carryOut(plan: MembershipPlan): Promise<void> {
    const { change, submit, log } = this.options;
    for (const { groupId, add, remove } of plan.changes) {
      if (!this.goesOn()) return;
      log.info({ group: groupId, add, remove }, 'changing the members of a group, since nodes come or go');
      await change(groupId, { add, remove, addLearners: [], addWitnesses: [] });
    }
    for (const id of plan.settled) if (this.goesOn()) await submit({ op: 'keep', id });
    for (const id of plan.leaving) if (this.goesOn()) await this.remove(id);
  }

  private goesOn(): boolean {
    return !this.stopped && this.options.leads();
  }

  /** Removes a node that votes nowhere. What its groups' leaders say counts: it may still learn in one. */
  private async remove(id: string): Promise<void> {
    const { view, status, change, submit, log } = this.options;
    for (const { id: groupId } of view().groups) {
      const { voters, learners } = await status(groupId);
      if (!voters.includes(id) && !learners.includes(id)) continue;
      await change(groupId, { add: [], addLearners: [], addWitnesses: [], remove: [id] });
    }
    const answer = await submit({ op: 'remove', id });
    if (answer.ok) log.info({ peer: id }, 'a node has left all its groups and was removed from the cluster');
    // That it votes after all is found out by the next look.
    else
      log.info(
        { peer: id, refusal: answer.code, detail: answer.detail },
        'a retiring node is not removed yet',
      );
  }
}
