export type {
  BatchOperation,
  IPersistentBackingStore,
  VersionedValue,
  WriteCondition,
} from './backing-store.js';
export type { AppendLogStatistics, IAppendLog, LogRecord } from './append-log.js';
export { MemoryAppendLog } from './memory-append-log.js';
export type { MemoryAppendLogOptions } from './memory-append-log.js';
export { MemoryBackingStore } from './memory-backing-store.js';
export type { MemoryBackingStoreOptions } from './memory-backing-store.js';
export { FileAppendLog } from './log/file-append-log.js';
export type { FileAppendLogOptions } from './log/file-append-log-options.js';
export { FileBackingStore } from './store/file-backing-store.js';
export type { FileBackingStoreOptions } from './store/file-store-options.js';
export type { LogFile, LogFiles, LogLock } from './log/log-files.js';
