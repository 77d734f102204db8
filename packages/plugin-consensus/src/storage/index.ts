// The door of the node's storage.

export { FileNodeStorage } from './file-node-storage.js';
export type { FileNodeStorageOptions, OpenLog } from './file-node-storage-options.js';
export { MemoryNodeStorage } from './memory-node-storage.js';
export type { MemoryNodeStorageOptions, MemoryStorageImage } from './memory-node-storage.js';
export type {
  GroupDamage,
  GroupStorage,
  GroupWrite,
  NodeStorage,
  NodeStorageStatistics,
  StorageState,
  StorageTuning,
} from './types.js';
