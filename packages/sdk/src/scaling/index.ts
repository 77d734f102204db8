export { BackpressureMeter, DEFAULT_BACKPRESSURE_THRESHOLDS } from './backpressure-meter.js';
export { LimitSet, STANDARD_LIMITS } from './limit-set.js';
export type {
  BackpressureListener,
  BackpressureMeterOptions,
  BackpressureThresholds,
} from './backpressure-meter.js';
export type { LimitChange, LimitListener, LimitValues } from './limit-set.js';
export type {
  BackpressureState,
  IScalableSubsystem,
  LimitDescriptor,
  LimitDescriptors,
  MetricValue,
  ScalingLimits,
} from './scalable-subsystem.js';
