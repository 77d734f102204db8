// The door of the node's storage.

export { MemoryNodeStorage } from './memory-node-storage.js';
export type { MemoryNodeStorageOptions, MemoryStorageImage } from './memory-node-storage.js';
export type { GroupStorage, GroupWrite, NodeStorage, NodeStorageStatistics, StorageState } from './types.js';
