// The limits of the bus and what each of them bounds.

import type { LimitDescriptors } from '../scaling/index.js';
import { LimitSet, STANDARD_LIMITS } from '../scaling/index.js';
import type { ScalingLimits } from '../scaling/index.js';

/** Name of the bus as a subsystem. */
export const BUS_SUBSYSTEM = 'bus';

/** What a waiting message is taken to need, since its payload is shared and cannot be measured cheaply. */
export const ASSUMED_MESSAGE_BYTES = 1_024;

const BUS_LIMITS = {
  maxCacheEntries: {
    ...STANDARD_LIMITS.maxCacheEntries,
    description:
      'Topics whose counters and pattern subscribers are remembered; the oldest is forgotten first',
  },
  maxMemoryBytes: {
    ...STANDARD_LIMITS.maxMemoryBytes,
    description: 'Bytes of messages waiting, each taken as 1 KiB; bounds them together with maxQueueDepth',
  },
  maxConcurrentOperations: {
    ...STANDARD_LIMITS.maxConcurrentOperations,
    unit: 'requests',
    default: 10_000,
    description: 'Requests (send) that wait for their answers at once; more are refused with bus-queue-full',
  },
  maxQueueDepth: {
    ...STANDARD_LIMITS.maxQueueDepth,
    unit: 'messages',
    default: 100_000,
    description:
      'Messages waiting in all subscriptions; from there on each keeps no more than its even share of this number, and its overflow rule holds',
  },
  maxSubscriptions: {
    unit: 'subscriptions',
    min: 1,
    max: 1_000_000,
    default: 10_000,
    description: 'Subscriptions and responders at once; more are refused with bus-too-many-subscriptions',
  },
  maxBlockedPublishers: {
    unit: 'messages',
    min: 0,
    max: 100_000,
    default: 1_000,
    description:
      'Publishers that a full subscription with overflow "block" holds back; more are refused with bus-queue-full',
  },
  defaultQueueCapacity: {
    unit: 'messages',
    min: 1,
    max: 1_000_000,
    default: 1_000,
    description:
      'Messages that wait for a subscription which neither its topic nor its subscriber gave a capacity',
  },
  sliceMessages: {
    unit: 'messages',
    min: 1,
    max: 100_000,
    default: 1_024,
    description: 'Messages delivered in one turn of the event loop, before timers and I/O get theirs',
  },
} satisfies LimitDescriptors;

/** The values of the bus's limits. */
export type BusLimitValues = ScalingLimits & Readonly<Record<keyof typeof BUS_LIMITS, number>>;

/** The limits of a bus. */
export class BusLimits extends LimitSet {
  constructor() {
    super(BUS_LIMITS, BUS_SUBSYSTEM);
  }

  override get current(): BusLimitValues {
    return super.current as BusLimitValues;
  }
}
