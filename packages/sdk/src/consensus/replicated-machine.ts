// A state machine of a plugin, replicated: what a plugin has in hand after it registered one.

import type { RaftGroupStatus } from './consensus-engine.js';
import type { CommandIdentity, GroupSession } from './session.js';
import type { IStateMachine } from './state-machine.js';

/** Options of a command. */
export interface MachineCommandOptions extends CommandIdentity {
  readonly signal?: AbortSignal;
}

/** What a command answers. */
export interface MachineAnswer {
  /** Index of the entry that carried the command (or, for a retry, the copy of it that was answered now). */
  readonly index: number;
  /**
   * What the machine's `apply` returned. Undefined when this was the retry of a command that a machine with its own
   * storage has applied: it was applied once, and its answer is not kept.
   */
  readonly data: Uint8Array | undefined;
}

/** Options of a read. */
export interface MachineReadOptions {
  /** Default `linearizable`: sees every command that was answered before the read began. `stale` reads what is here. */
  readonly consistency?: 'linearizable' | 'stale';
  readonly signal?: AbortSignal;
}

/**
 * A replicated state machine. Commands are committed by a majority and on their disks before they are answered. One that
 * failed with any code but `outcome-unknown` was not applied and never will be; after `outcome-unknown` a retry is safe
 * in a session or with an idempotency key.
 *
 * Throws DwError `no-leader` (503, also while the group is being made), `overloaded` (429), `outcome-unknown` (503),
 * `session-expired` (410) and the other codes of sessions, `group-failed` (503).
 */
export interface IReplicatedMachine<M extends IStateMachine = IStateMachine> extends AsyncDisposable {
  readonly name: string;
  /** Id of the machine's own group. */
  readonly groupId: string;
  /** Gives the machine a command, on every replica. Resolves with the answer of `apply`. */
  proposeAsync(command: Uint8Array, options?: MachineCommandOptions): Promise<MachineAnswer>;
  /**
   * Calls `read` with the machine of this node once it may be read. `read` is synchronous and changes nothing.
   * @throws DwError `replica-not-here` when this node has no replica of the group: use {@link queryAsync}.
   */
  readAsync<T>(read: (machine: M) => T, options?: MachineReadOptions): Promise<T>;
  /**
   * Asks the machine's `query`, here or, when this node has no replica, at one that has.
   * @throws DwError `query-unsupported` when the machine has no `query`; what `query` throws, as it travels.
   */
  queryAsync(request: Uint8Array, options?: MachineReadOptions): Promise<Uint8Array>;
  /** Opens a session in the group. */
  openSessionAsync(signal?: AbortSignal): Promise<GroupSession>;
  /** Closes a session. */
  closeSessionAsync(session: GroupSession, signal?: AbortSignal): Promise<void>;
  /** The group as this node sees it, or a peer when there is no replica here. */
  statusAsync(): Promise<RaftGroupStatus>;
  /**
   * Takes the machine away from this node: its replica is closed, and waits on disk until the name is registered again.
   */
  [Symbol.asyncDispose](): Promise<void>;
}
