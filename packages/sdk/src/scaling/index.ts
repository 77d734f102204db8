export { BackpressureMeter, DEFAULT_BACKPRESSURE_THRESHOLDS } from './backpressure-meter.js';
export { BoundedCache } from './bounded-cache.js';
export { LimitSet, STANDARD_LIMITS } from './limit-set.js';
export type {
  BackpressureListener,
  BackpressureMeterOptions,
  BackpressureThresholds,
} from './backpressure-meter.js';
export type {
  BoundedCacheOptions,
  CachePersistence,
  CacheStatistics,
  PutOptions,
} from './bounded-cache-options.js';
export type { LimitChange, LimitListener, LimitValues } from './limit-set.js';
export type { EvictionReason } from './lru-table.js';
export type {
  BackpressureState,
  IScalableSubsystem,
  LimitDescriptor,
  LimitDescriptors,
  MetricValue,
  ScalingLimits,
} from './scalable-subsystem.js';
