// A consensus engine of one node that keeps everything in memory, for the tests of plugins that replicate a state
// machine: commands are applied in order and answered, with sessions, without a network, a disk or a wait.

import type {
  ClusterHealthInfo,
  ConsensusResult,
  GroupSession,
  IConsensusEngine,
  IReplicatedMachine,
  IStateMachine,
  MachineAnswer,
  MachineCommandOptions,
  MachineReadOptions,
  RaftGroupStatus,
} from '../consensus/index.js';
import { consensusErrors } from './errors.js';

/** A machine of a {@link MemoryConsensus}. */
class MemoryMachine<M extends IStateMachine> implements IReplicatedMachine<M> {
  readonly groupId: string;
  /** Entries so far. */
  index = 0;
  private readonly sessions = new Map<number, Map<number, MachineAnswer>>();
  private readonly keys = new Map<string, MachineAnswer>();

  constructor(
    readonly name: string,
    readonly machine: M,
    private readonly nodeId: string,
    private readonly now: () => number,
    private readonly closed: () => void,
  ) {
    this.groupId = `machine-${name}`;
  }

  async proposeAsync(command: Uint8Array, options: MachineCommandOptions = {}): Promise<MachineAnswer> {
    options.signal?.throwIfAborted();
    const { session, idempotencyKey } = options;
    if (session === undefined) {
      const known = idempotencyKey === undefined ? undefined : this.keys.get(idempotencyKey);
      if (known !== undefined) return known;
      const answer = this.apply(command);
      if (idempotencyKey !== undefined) this.keys.set(idempotencyKey, answer);
      return answer;
    }
    const outcomes = this.sessions.get(session.session);
    if (outcomes === undefined) throw consensusErrors.sessionExpired(this.groupId, session.session);
    const known = outcomes.get(session.sequence);
    if (known !== undefined) return known;
    const answer = this.apply(command);
    outcomes.set(session.sequence, answer);
    return answer;
  }

  async readAsync<T>(read: (machine: M) => T, options: MachineReadOptions = {}): Promise<T> {
    options.signal?.throwIfAborted();
    return read(this.machine);
  }

  async queryAsync(request: Uint8Array, options: MachineReadOptions = {}): Promise<Uint8Array> {
    options.signal?.throwIfAborted();
    if (this.machine.query === undefined) throw consensusErrors.queryUnsupported(this.name);
    return this.machine.query(request);
  }

  async openSessionAsync(): Promise<GroupSession> {
    this.index++;
    this.sessions.set(this.index, new Map());
    return { group: this.groupId, session: this.index };
  }

  async closeSessionAsync({ session }: GroupSession): Promise<void> {
    this.index++;
    this.sessions.delete(session);
  }

  async statusAsync(): Promise<RaftGroupStatus> {
    return this.status();
  }

  status(): RaftGroupStatus {
    return {
      id: this.groupId,
      machine: this.name,
      state: 'leader',
      leaderId: this.nodeId,
      term: 1,
      commitIndex: this.index,
      lastApplied: this.index,
      voters: [this.nodeId],
      learners: [],
      firstIndex: 1,
      lastIndex: this.index,
      stateHash: this.machine.stateHash?.() ?? '',
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.closed();
    await this.machine.closeAsync?.();
  }

  private apply(command: Uint8Array): MachineAnswer {
    this.index++;
    const entry = { index: this.index, term: 1, proposer: this.nodeId, time: this.now(), data: command };
    const answer = this.machine.apply(entry);
    return { index: this.index, data: answer === undefined ? new Uint8Array(0) : Uint8Array.from(answer) };
  }
}

/** Options of a {@link MemoryConsensus}. */
export interface MemoryConsensusOptions {
  /** Default `n1`. */
  readonly nodeId?: string;
  /** Time that entries carry. Default: 0 for all. */
  readonly now?: () => number;
}

/** An {@link IConsensusEngine} in memory. Give it to a plugin under test with `provide(CONSENSUS_ENGINE, …)`. */
export class MemoryConsensus implements IConsensusEngine {
  private readonly machines = new Map<string, MemoryMachine<IStateMachine>>();
  private readonly nodeId: string;
  private logged = 0;

  constructor(private readonly options: MemoryConsensusOptions = {}) {
    this.nodeId = options.nodeId ?? 'n1';
  }

  groupIds(): readonly string[] {
    return [...this.machines.values()].map(({ groupId }) => groupId).sort();
  }

  groupOf(): string {
    return this.groupIds()[0] ?? '';
  }

  async proposeAsync(): Promise<ConsensusResult> {
    return { success: true, logIndex: ++this.logged, leaderId: this.nodeId };
  }

  status(groupId: string): RaftGroupStatus {
    for (const machine of this.machines.values()) if (machine.groupId === groupId) return machine.status();
    throw consensusErrors.groupUnknown(groupId);
  }

  health(): ClusterHealthInfo {
    return { totalNodes: 1, healthyNodes: 1, nodeStates: { [this.nodeId]: 'alive' } };
  }

  registerStateMachine<M extends IStateMachine>(name: string, create: () => M): IReplicatedMachine<M> {
    if (this.machines.has(name)) throw consensusErrors.machineRegistered(name);
    const { now = () => 0 } = this.options;
    const machine = new MemoryMachine(name, create(), this.nodeId, now, () => this.machines.delete(name));
    this.machines.set(name, machine);
    return machine;
  }
}
