// What the kernel needs of its surroundings, as narrow as it needs it, so that it can be tested without a server and
// a disk.

import type {
  Clock,
  IMessageBus,
  IPersistentBackingStore,
  IScalableSubsystem,
  Logger,
  NodeInfo,
  RouteDefinition,
} from '@datawarehouse/sdk';
import type { KernelTimeouts } from '../config/node-config.js';
import type { ServiceDirectory } from './service-directory.js';

/** Topics that a plugin's manifest names. */
export interface TopicPermissions {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
}

/** Where routes go. */
export interface RoutePort {
  add(owner: string, route: RouteDefinition, run: <T>(fn: () => T) => T): Disposable;
}

/** Where subsystems with limits go. */
export interface LimitsPort {
  register(owner: string, subsystem: IScalableSubsystem): Promise<Disposable>;
}

/** A bus that makes facades: the sender stamped, topics restricted, handlers run in the plugin's scope. */
export interface BusPort {
  scoped(
    sender: string,
    permissions: TopicPermissions,
    runInContext: <T>(fn: () => T) => T,
  ): IMessageBus & Disposable;
}

/** What plugin contexts are made of. */
export interface KernelPorts {
  readonly clock: Clock;
  readonly log: Logger;
  readonly bus: BusPort;
  readonly store: IPersistentBackingStore;
  readonly routes: RoutePort;
  readonly limits: LimitsPort;
  readonly services: ServiceDirectory;
  readonly node: NodeInfo;
  readonly timeouts: KernelTimeouts;
  /** Absolute path of the node's data directory. */
  readonly dataDir: string;
}
