// The door of the consensus plugin.

export { UltimateConsensusPlugin, UltimateConsensusPlugin as plugin } from './plugin.js';
export { MultiRaftEngine } from './engine/multi-raft-engine.js';
export type { EngineOptions } from './engine/engine-options.js';
export type { EngineLimits } from './engine/engine-limits.js';
export { HashRing } from './groups/hash-ring.js';
export { keyHash } from './groups/key-hash.js';
export { KeyValueState } from './state/key-value-state.js';
export { ConsensusScalingManager } from './scaling/consensus-scaling-manager.js';
export { CONSENSUS_LIMITS } from './scaling/consensus-limits.js';
export type { ConsensusLimits } from './scaling/consensus-limits.js';
export { FileNodeStorage, MemoryNodeStorage } from './storage/index.js';
export type { FileNodeStorageOptions, NodeStorage } from './storage/index.js';
