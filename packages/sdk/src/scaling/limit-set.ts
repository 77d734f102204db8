// The limits of one subsystem: checks a change whole, applies it whole or not at all, and tells who must act on it.
// A subsystem that holds a LimitSet implements IScalableSubsystem in a few lines.

import {
  limitApplyFailed,
  limitDescriptorInvalid,
  limitOutOfRange,
  limitsNotAnObject,
  limitUnknown,
} from './errors.js';
import type { LimitDescriptor, LimitDescriptors, ScalingLimits } from './scalable-subsystem.js';

const MEBIBYTE = 1024 * 1024;

/** The four limits that every subsystem has, with their defaults and ranges. */
export const STANDARD_LIMITS = Object.freeze({
  maxCacheEntries: Object.freeze({
    unit: 'entries',
    min: 1,
    max: 100_000_000,
    default: 10_000,
    description: 'Entries of its caches together; the least recently used go first',
  }),
  maxMemoryBytes: Object.freeze({
    unit: 'bytes',
    min: MEBIBYTE,
    max: 1024 * 1024 * MEBIBYTE,
    default: 100 * MEBIBYTE,
    description: 'Bytes of its caches and buffers together',
  }),
  maxConcurrentOperations: Object.freeze({
    unit: 'operations',
    min: 1,
    max: 1_000_000,
    default: 64,
    description: 'Operations under way at once; more wait',
  }),
  maxQueueDepth: Object.freeze({
    unit: 'operations',
    min: 1,
    max: 10_000_000,
    default: 1_000,
    description: 'Operations waiting; more are refused',
  }),
}) satisfies LimitDescriptors;

/** Values of limits by name. */
export type LimitValues = Readonly<Record<string, number>>;

/** What a change did. */
export interface LimitChange {
  /** The limits that were named, with their new values. */
  readonly applied: LimitValues;
  /** The same limits with the values they had before. */
  readonly previous: LimitValues;
}

/**
 * Acts on a change of limits, at once and without waiting. `current` holds all limits. A listener that throws
 * refuses the change: it is taken back, and the listeners that had been told are told of the old values.
 */
export type LimitListener = (change: LimitChange, current: ScalingLimits) => void;

/**
 * The limits of one subsystem.
 * @example
 * ```ts
 * class Shipper implements IScalableSubsystem {
 *   readonly subsystemName = 'shipper';
 *   readonly limits = new LimitSet({ maxBatch: { unit: 'records', min: 1, max: 10_000, default: 100, description: '…' } }, this.subsystemName);
 *   get limitDescriptors() { return this.limits.descriptors; }
 *   get currentLimits() { return this.limits.current; }
 *   async reconfigureLimitsAsync(values: LimitValues) { this.limits.apply(values); }
 *   …
 * }
 * ```
 */
export class LimitSet {
  /** Every limit: the standard four and the subsystem's own. */
  readonly descriptors: LimitDescriptors;
  private values: ScalingLimits;
  private readonly listeners = new Set<LimitListener>();

  /**
   * @param own the subsystem's own limits. One with the name of a standard limit replaces it (another default or range).
   * @param subsystem the name that errors use.
   * @throws DwError `limit-descriptor-invalid` when a default lies outside of its range.
   */
  constructor(
    own: LimitDescriptors = {},
    private readonly subsystem: string = 'this subsystem',
  ) {
    const descriptors: Record<string, LimitDescriptor> = { ...STANDARD_LIMITS, ...own };
    for (const [name, limit] of Object.entries(descriptors)) {
      if (!(limit.min <= limit.max)) {
        throw limitDescriptorInvalid(subsystem, name, `min ${limit.min} is not at most max ${limit.max}`);
      }
      if (!allows(limit, limit.default)) {
        throw limitDescriptorInvalid(
          subsystem,
          name,
          `its default ${limit.default} is not allowed by its own range`,
        );
      }
    }
    this.descriptors = Object.freeze(descriptors);
    const defaults = Object.entries(descriptors).map(([name, limit]) => [name, limit.default]);
    this.values = Object.freeze(Object.fromEntries(defaults) as ScalingLimits);
  }

  /** The limits in force. The object is frozen; a change makes a new one. */
  get current(): ScalingLimits {
    return this.values;
  }

  /** One limit's value. @throws DwError `limit-unknown`. */
  get(name: string): number {
    const value = Object.hasOwn(this.values, name) ? this.values[name] : undefined;
    if (value === undefined) throw limitUnknown(this.subsystem, name, Object.keys(this.descriptors));
    return value;
  }

  /**
   * Checks a change whole without applying it. The values may come from anywhere.
   * @throws DwError `limit-unknown` or `limit-out-of-range` (status 422).
   */
  check(values: unknown): asserts values is LimitValues {
    if (typeof values !== 'object' || values === null || Array.isArray(values)) {
      throw limitsNotAnObject(this.subsystem, values);
    }
    for (const [name, value] of Object.entries(values)) {
      const limit = Object.hasOwn(this.descriptors, name) ? this.descriptors[name] : undefined;
      if (limit === undefined) throw limitUnknown(this.subsystem, name, Object.keys(this.descriptors));
      if (!allows(limit, value)) throw limitOutOfRange(this.subsystem, name, value, limit);
    }
  }

  /**
   * Changes the limits that are named, all or none, and tells the listeners before it returns.
   * @throws as {@link check}; DwError `limit-apply-failed` when a listener threw. Then nothing has changed.
   */
  apply(values: LimitValues): LimitChange {
    this.check(values);
    const before = this.values;
    const applied = Object.freeze({ ...values });
    const names = Object.keys(applied);
    const previous = Object.freeze(Object.fromEntries(names.map((name) => [name, this.get(name)])));
    const change: LimitChange = Object.freeze({ applied, previous });
    this.values = Object.freeze({ ...before, ...applied });
    this.announce(change, before);
    return change;
  }

  /** Calls `listener` at each change. Dispose of what it returns to stop. */
  onChanged(listener: LimitListener): Disposable {
    this.listeners.add(listener);
    return { [Symbol.dispose]: () => void this.listeners.delete(listener) };
  }

  private announce(change: LimitChange, before: ScalingLimits): void {
    const told: LimitListener[] = [];
    for (const listener of this.listeners) {
      told.push(listener);
      try {
        listener(change, this.values);
      } catch (thrown) {
        this.values = before;
        throw limitApplyFailed(
          this.subsystem,
          Object.keys(change.applied),
          this.takeBack(told, change, thrown),
        );
      }
    }
  }

  /** Tells listeners, latest first, of the old values. The one that threw is told too: it may have acted halfway. */
  private takeBack(told: readonly LimitListener[], change: LimitChange, first: unknown): unknown {
    const reverse: LimitChange = { applied: change.previous, previous: change.applied };
    const failures: unknown[] = [first];
    for (const listener of told.toReversed()) {
      try {
        listener(reverse, this.values);
      } catch (thrown) {
        failures.push(thrown);
      }
    }
    return failures.length === 1 ? first : new AggregateError(failures, 'taking the change back failed too');
  }
}

function allows(limit: LimitDescriptor, value: unknown): boolean {
  if (typeof value !== 'number' || !(value >= limit.min && value <= limit.max)) return false;
  return limit.integer === false ? Number.isFinite(value) : Number.isSafeInteger(value);
}
