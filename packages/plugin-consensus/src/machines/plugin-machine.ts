// A registered state machine as its plugin holds it.

import type {
  GroupSession,
  IReplicatedMachine,
  IStateMachine,
  MachineAnswer,
  MachineCommandOptions,
  MachineReadOptions,
  RaftGroupStatus,
} from '@datawarehouse/sdk';
import { groupFailed } from '../errors.js';
import { closeSession, envelop, openSession, refusalOf } from '../groups/command-identity.js';
import type { GroupRouter } from '../groups/group-router.js';
import { machineMismatch } from '../state/errors.js';
import type { MachineGroups } from './machine-groups.js';
import { groupOfMachine } from './machine-groups.js';
import { PluginState } from './plugin-state.js';

/** The machine `name`, wherever its replicas are. */
export class PluginMachine<M extends IStateMachine> implements IReplicatedMachine<M> {
  readonly groupId: string;

  constructor(
    readonly name: string,
    private readonly groups: MachineGroups,
    private readonly router: GroupRouter,
  ) {
    this.groupId = groupOfMachine(name);
  }

  async proposeAsync(command: Uint8Array, options: MachineCommandOptions = {}): Promise<MachineAnswer> {
    const { groupId, router } = this;
    const { kind, data, repeatable } = envelop(command, groupId, options);
    await this.made();
    const { index, outcome } = await router.propose(groupId, kind, data, repeatable, options.signal);
    if (outcome.status === 'result') return { index, data: outcome.data };
    if (outcome.status === 'result-not-kept') return { index, data: undefined };
    throw (
      refusalOf(outcome, groupId, options) ?? groupFailed(groupId, new Error(`an outcome ${outcome.status}`))
    );
  }

  async readAsync<T>(read: (machine: M) => T, options: MachineReadOptions = {}): Promise<T> {
    const { groupId, router } = this;
    const group = router.local.replica(groupId, 'a read of its machine');
    const { machine } = group.state;
    if (!(machine instanceof PluginState)) throw machineMismatch(groupId, this.name);
    if (options.consistency !== 'stale') await router.local.confirm(groupId, router.deadline());
    options.signal?.throwIfAborted();
    // The factory of this name made it.
    return read(machine.machine as M);
  }

  async queryAsync(request: Uint8Array, options: MachineReadOptions = {}): Promise<Uint8Array> {
    const { groupId, router } = this;
    if (options.consistency === 'stale' && router.local.serves(groupId)) {
      return router.local.query(groupId, request);
    }
    await this.made();
    return router.query(groupId, request, options.signal);
  }

  async openSessionAsync(signal?: AbortSignal): Promise<GroupSession> {
    await this.made();
    return openSession(this.router, this.groupId, signal);
  }

  async closeSessionAsync(session: GroupSession, signal?: AbortSignal): Promise<void> {
    await closeSession(this.router, this.groupId, session.session, signal);
  }

  statusAsync(): Promise<RaftGroupStatus> {
    return this.router.status(this.groupId);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.groups.unregister(this.name);
  }

  private made(): Promise<void> {
    return this.groups.made(this.name, this.router.deadline());
  }
}
