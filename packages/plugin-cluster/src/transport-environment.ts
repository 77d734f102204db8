// What all parts of one transport share: who we are, time, chance, limits, counters.

import type { Clock, LimitSet, Logger } from '@datawarehouse/sdk';
import type { BudgetLimits, MemoryAccount } from './connection/queue-budget.js';
import { QueueBudget } from './connection/queue-budget.js';
import type { TrafficCounters } from './connection/connection.js';
import type { HelloRules } from './handshake/check-hello.js';
import type { TransportSettings } from './limits.js';
import { settingsOf } from './limits.js';
import type { Rejections } from './rejections.js';
import type { TlsMaterial } from './tls-material.js';

/** Why a one-way message or a request was not taken or not delivered. Counted by reason. */
export interface DropCounters {
  /** Sent to a peer that is not connected. */
  disconnected: number;
  /** Sent to a lane that is full. */
  queueFull: number;
  /** Received on a channel that nobody handles. */
  unhandled: number;
  /** Received requests over the limit of one peer. */
  overloaded: number;
  /** Received messages whose handler threw. */
  handlerFailed: number;
}

/** Shared by all parts of one transport. */
export interface TransportEnvironment {
  readonly rules: HelloRules;
  readonly clock: Clock;
  /** From 0 up to but not including 1. */
  readonly random: () => number;
  readonly log: Logger;
  readonly limits: LimitSet;
  readonly tls: TlsMaterial | undefined;
  readonly rejections: Rejections;
  readonly traffic: TrafficCounters;
  readonly drops: DropCounters;
  /** What waits in the send queues. */
  readonly memory: MemoryAccount;
}

/** The limits in force. */
export function settings(environment: TransportEnvironment): TransportSettings {
  return settingsOf(environment.limits);
}

/** A budget for what waits to be sent in one lane to one peer. */
export function laneBudget(environment: TransportEnvironment): QueueBudget {
  return new QueueBudget((): BudgetLimits => {
    const { maxQueueDepth, maxLaneQueueBytes, maxMemoryBytes } = settings(environment);
    return { messages: maxQueueDepth, bytes: maxLaneQueueBytes, totalBytes: maxMemoryBytes };
  }, environment.memory);
}

/**
 * A budget for the replies that wait on one incoming connection. Other lanes' memory does not count against it: a
 * reply cannot be refused, and reading is paused at the lane's own bound already.
 */
export function replyBudget(environment: TransportEnvironment): QueueBudget {
  return new QueueBudget((): BudgetLimits => {
    const { maxQueueDepth, maxLaneQueueBytes } = settings(environment);
    return { messages: maxQueueDepth, bytes: maxLaneQueueBytes, totalBytes: Infinity };
  }, environment.memory);
}
