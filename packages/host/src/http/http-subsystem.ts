// The HTTP server as a subsystem: its bounds can be seen and changed while it runs.

import { BackpressureMeter, LimitSet, STANDARD_LIMITS } from '@datawarehouse/sdk';
import type {
  BackpressureState,
  IScalableSubsystem,
  LimitDescriptor,
  LimitDescriptors,
  MetricValue,
  ScalingLimits,
} from '@datawarehouse/sdk';
import type { HttpServerLimits } from './http-server-limits.js';

/** How full the server is now. */
export interface HttpUsage {
  readonly requests: number;
  readonly bodyBytes: number;
  readonly connections: number;
}

const NAME = 'http';
const MEBIBYTE = 1024 * 1024;

/**
 * An operator must not be able to shut out the call that would undo the change, so there is a least of everything.
 * Who embeds the server may begin below it.
 */
function limit(
  unit: string,
  least: number,
  max: number,
  initial: number,
  description: string,
): LimitDescriptor {
  return { unit, min: Math.min(least, initial), max: Math.max(max, initial), default: initial, description };
}

function describe(initial: HttpServerLimits): LimitDescriptors {
  const milliseconds = (least: number, value: number, description: string): LimitDescriptor =>
    limit('ms', least, 3_600_000, value, description);
  return {
    maxCacheEntries: { ...STANDARD_LIMITS.maxCacheEntries, description: 'Not used: HTTP has no cache' },
    maxQueueDepth: {
      ...STANDARD_LIMITS.maxQueueDepth,
      description: 'Not used: no request waits for another',
    },
    maxMemoryBytes: limit(
      'bytes',
      MEBIBYTE,
      64 * 1024 * MEBIBYTE,
      initial.maxBodyBytesInMemory,
      'Bytes of request bodies in memory at once; a request that needs more gets 503 overloaded',
    ),
    maxConcurrentOperations: limit(
      'requests',
      16,
      1_000_000,
      initial.maxRequests,
      'Requests being answered at once; more get 503 overloaded',
    ),
    maxConnections: limit(
      'connections',
      16,
      1_000_000,
      initial.maxConnections,
      'Connections open at once; more are closed as they come',
    ),
    handlerMs: milliseconds(
      1_000,
      initial.handlerMs,
      'How long a handler may take until the server answers for it',
    ),
    drainMs: milliseconds(
      1,
      initial.drainMs,
      'How long requests under way have to finish when the host stops',
    ),
    slowReaderMs: milliseconds(
      100,
      initial.slowReaderMs,
      'How long a reader of a stream may leave a full buffer unread until it is cut off',
    ),
  };
}

/** Limits and metrics of the HTTP server. */
export class HttpSubsystem implements IScalableSubsystem {
  readonly subsystemName = NAME;
  private readonly limits: LimitSet;
  private readonly requests: BackpressureMeter;
  private readonly bodies: BackpressureMeter;

  /** @param changed told of the new bounds at each change. */
  constructor(
    private readonly initial: HttpServerLimits,
    private readonly usage: () => HttpUsage,
    changed: (limits: HttpServerLimits) => void,
  ) {
    this.limits = new LimitSet(describe(initial), NAME);
    this.requests = new BackpressureMeter({ limit: initial.maxRequests });
    this.bodies = new BackpressureMeter({ limit: initial.maxBodyBytesInMemory });
    this.limits.onChanged((_change, current) => {
      this.requests.setLimit(current.maxConcurrentOperations);
      this.bodies.setLimit(current.maxMemoryBytes);
      changed(this.inForce(current));
    });
  }

  get limitDescriptors(): LimitDescriptors {
    return this.limits.descriptors;
  }

  get currentLimits(): ScalingLimits {
    return this.limits.current;
  }

  get currentBackpressureState(): BackpressureState {
    const { requests, bodyBytes } = this.usage();
    this.requests.update(requests);
    this.bodies.update(bodyBytes);
    const share = (meter: BackpressureMeter): number => meter.depth / meter.limit;
    return share(this.requests) >= share(this.bodies) ? this.requests.state : this.bodies.state;
  }

  getScalingMetrics(): ReadonlyMap<string, MetricValue> {
    const { requests, bodyBytes, connections } = this.usage();
    return new Map<string, MetricValue>([
      ['cache.size', 0],
      ['cache.hitRate', 0],
      ['cache.memoryBytes', bodyBytes],
      ['backpressure.state', this.currentBackpressureState],
      ['backpressure.queueDepth', requests],
      ['connections.open', connections],
    ]);
  }

  /** @throws DwError `limit-unknown`, `limit-out-of-range`. */
  async reconfigureLimitsAsync(values: Readonly<Record<string, number>>): Promise<void> {
    this.limits.apply(values);
  }

  private inForce(current: ScalingLimits): HttpServerLimits {
    return {
      ...this.initial,
      maxRequests: current.maxConcurrentOperations,
      maxBodyBytesInMemory: current.maxMemoryBytes,
      maxConnections: this.limits.get('maxConnections'),
      handlerMs: this.limits.get('handlerMs'),
      drainMs: this.limits.get('drainMs'),
      slowReaderMs: this.limits.get('slowReaderMs'),
    };
  }
}
