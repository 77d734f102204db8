// What a subsystem shows an operator: limits that can be changed while it runs, metrics, and how pressed it is.

/** How pressed a subsystem is, in rising order. */
export type BackpressureState = 'normal' | 'warning' | 'critical' | 'shedding';

/** The four limits that every subsystem has. A subsystem adds its own by name. */
export interface ScalingLimits {
  /** Entries of its caches together. Default 10 000. */
  readonly maxCacheEntries: number;
  /** Bytes of its caches and buffers together. Default 100 MiB. */
  readonly maxMemoryBytes: number;
  /** Operations under way at once. Default 64. */
  readonly maxConcurrentOperations: number;
  /** Operations waiting. Default 1 000. */
  readonly maxQueueDepth: number;
  readonly [name: string]: number;
}

/** What a limit is: enough to show it, check a new value, and explain it. */
export interface LimitDescriptor {
  /** `entries`, `bytes`, `operations`, `ms`, … */
  readonly unit: string;
  /** Smallest value allowed. */
  readonly min: number;
  /** Largest value allowed. */
  readonly max: number;
  readonly default: number;
  /** What it bounds and what happens at the bound. */
  readonly description: string;
  /** Whether only whole numbers are allowed. Default true. */
  readonly integer?: boolean;
}

/** Descriptors by limit name. */
export type LimitDescriptors = Readonly<Record<string, LimitDescriptor>>;

/** One metric's value. A number becomes a gauge on `/metrics`; a text is shown on `/v1/scaling` only. */
export type MetricValue = number | string;

/** A part of the system with limits that can be changed while it runs. */
export interface IScalableSubsystem {
  /** Its name on the bus, in HTTP paths and in commands: lower-case words joined by `-`. */
  readonly subsystemName: string;
  /** Every limit it has. */
  readonly limitDescriptors: LimitDescriptors;
  /**
   * Its metrics. Always holds `cache.size`, `cache.hitRate`, `cache.memoryBytes`, `backpressure.state` and
   * `backpressure.queueDepth`. Cheap: it may be called every second.
   */
  getScalingMetrics(): ReadonlyMap<string, MetricValue>;
  /**
   * Changes the limits that are named and leaves the others.
   * Either all of them apply or none.
   * @throws DwError `limit-unknown` or `limit-out-of-range` (status 422) and nothing has changed.
   */
  reconfigureLimitsAsync(limits: Readonly<Record<string, number>>, signal?: AbortSignal): Promise<void>;
  /** The limits in force. */
  readonly currentLimits: ScalingLimits;
  /** How pressed it is now. */
  readonly currentBackpressureState: BackpressureState;
}
