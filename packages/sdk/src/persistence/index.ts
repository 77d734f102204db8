export type {
  BatchOperation,
  IPersistentBackingStore,
  VersionedValue,
  WriteCondition,
} from './backing-store.js';
export type { AppendLogStatistics, IAppendLog, LogRecord } from './append-log.js';
