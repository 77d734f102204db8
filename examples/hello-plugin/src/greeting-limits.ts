// The limit of this plugin, which an operator can change while it runs: `dw limits hello maxNameLength=80`.

import { LimitSet } from '@datawarehouse/sdk';
import type { BackpressureState, IScalableSubsystem, MetricValue } from '@datawarehouse/sdk';

/** Limits and metrics of the greeter. */
export class GreetingLimits implements IScalableSubsystem {
  readonly subsystemName = 'hello';
  readonly currentBackpressureState: BackpressureState = 'normal';
  private readonly limits = new LimitSet({
    maxNameLength: {
      unit: 'characters',
      min: 1,
      max: 1_000,
      default: 40,
      description: 'Longer names are not greeted',
    },
  });

  /** `count` tells how often somebody was greeted. */
  constructor(private readonly count: () => number) {}

  get limitDescriptors() {
    return this.limits.descriptors;
  }

  get currentLimits() {
    return this.limits.current;
  }

  get maxNameLength(): number {
    return this.limits.get('maxNameLength');
  }

  async reconfigureLimitsAsync(values: Readonly<Record<string, number>>): Promise<void> {
    this.limits.apply(values);
  }

  getScalingMetrics(): ReadonlyMap<string, MetricValue> {
    return new Map<string, MetricValue>([
      ['cache.size', 0],
      ['cache.hitRate', 0],
      ['cache.memoryBytes', 0],
      ['backpressure.state', this.currentBackpressureState],
      ['backpressure.queueDepth', 0],
      ['greetings', this.count()],
    ]);
  }
}
