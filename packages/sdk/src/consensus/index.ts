export { CONSENSUS_ENGINE } from './consensus-engine.js';
export { KEY_VALUE_STORE } from './key-value-store.js';
export type { IConsensusEngine, RaftGroupStatus } from './consensus-engine.js';
export type {
  IKeyValueStore,
  KeyValueChanges,
  KeyValuePage,
  KeyValueReadOptions,
  KeyValueWriteOptions,
  KeyValueWriteResult,
  ReplicatedValue,
  WatchQuery,
} from './key-value-store.js';
export { FileRaftLogStore } from './log/file-raft-log-store.js';
export type { IRaftLogStore, RaftEntryType, RaftLogEntry, RaftPersistentState } from './raft-log-store.js';
export type { ClusterHealthInfo, ConsensusResult, ConsensusState, RaftRole } from './results.js';
export type { CommandIdentity, GroupSession, SessionPlace } from './session.js';
export type {
  IReplicatedMachine,
  MachineAnswer,
  MachineCommandOptions,
  MachineReadOptions,
} from './replicated-machine.js';
export type { AppliedEntry, IDiskStateMachine, IStateMachine } from './state-machine.js';
