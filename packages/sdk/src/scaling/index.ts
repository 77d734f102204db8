export type {
  BackpressureState,
  IScalableSubsystem,
  LimitDescriptor,
  LimitDescriptors,
  MetricValue,
  ScalingLimits,
} from './scalable-subsystem.js';
