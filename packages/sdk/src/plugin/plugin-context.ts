// Everything a plugin is given. Whatever it takes from here is tracked, and is gone when the plugin is.

import type { IMessageBus } from '../bus/index.js';
import type { RouteDefinition } from '../http/index.js';
import type { IPersistentBackingStore } from '../persistence/index.js';
import type { IScalableSubsystem } from '../scaling/index.js';
import type { Clock } from '../time/index.js';
import type { Logger } from './logger.js';
import type { ServiceToken } from './service-token.js';

/** TLS files of a listener, PEM. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

/** A host and a port. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** Where a node listens for clients, and how they are protected: as those of HTTP. */
export interface ClientEndpoint extends Endpoint {
  /** TLS files, PEM; `ca` completes the chain that clients are shown. Undefined: without TLS. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca?: string };
  /** Whether this is the token of the node, told in a time that does not depend on it. Undefined: none is asked for. */
  readonly authorize?: (token: string | undefined) => boolean;
}

/** What a plugin may know of the node it runs on. */
export interface NodeInfo {
  readonly nodeId: string;
  /** Nodes with another cluster id are not talked to. */
  readonly clusterId: string;
  /** Version of the host. */
  readonly version: string;
  /** Where other nodes reach this node's API: `http://host:port`. */
  readonly httpUrl: string;
  /** Where to listen for peers, with TLS files if peers use TLS. */
  readonly peer: Endpoint & { readonly tls?: TlsFiles };
  /** Where to listen for clients of the framed protocol; undefined where none are served. */
  readonly client: ClientEndpoint | undefined;
  /** `host:port` of every node's peer listener by node id, this node included. */
  readonly peers: Readonly<Record<string, string>>;
  /** Whether it joins a running cluster: it begins nothing of its own, but learns from its peers what there is. */
  readonly joins?: boolean;
}

/** Services that cross plugins. */
export interface ServiceRegistry {
  /** @throws DwError `service-not-declared` when the manifest names it neither as required nor as optional, `service-missing` when nobody provides it. */
  get<T>(token: ServiceToken<T>): T;
  /** As `get`, but undefined when nobody provides it. */
  tryGet<T>(token: ServiceToken<T>): T | undefined;
  /** @throws DwError `service-not-declared` when the manifest does not provide it. */
  provide<T>(token: ServiceToken<T>, service: T): void;
}

/** Where routes are added. */
export interface RouteRegistry {
  /** @throws DwError `route-taken` when the method and path are served already. */
  add(route: RouteDefinition): Disposable;
}

/** Where subsystems with limits are added. */
export interface ScalingRegistry {
  /**
   * Shows the subsystem on `/v1/limits` and `/v1/scaling`, and gives it back the limits an operator set before.
   * @throws DwError `subsystem-taken` when the name is in use.
   */
  register(subsystem: IScalableSubsystem): Promise<Disposable>;
}

/** What the host gives a plugin. */
export interface PluginContext {
  readonly pluginId: string;
  readonly node: NodeInfo;
  /** The plugin's part of the configuration, checked against its `configSchema` with defaults filled in. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly log: Logger;
  /** The bus, under this plugin's name and permissions. */
  readonly bus: IMessageBus;
  readonly services: ServiceRegistry;
  readonly routes: RouteRegistry;
  readonly scaling: ScalingRegistry;
  /** Durable values of this plugin alone: paths start with `dw://plugins/<id>/`, which {@link storePath} makes. */
  readonly store: IPersistentBackingStore;
  /** A path in {@link store}: `storePath('count')` is `dw://plugins/<id>/count`. */
  storePath(...segments: readonly string[]): string;
  /** A directory of this plugin alone, for files of its own. It exists. */
  readonly dataDir: string;
  /** Timers that stop with the plugin; what their callbacks throw is counted against it. */
  readonly clock: Clock;
  /** Aborts when the plugin is stopped. */
  readonly signal: AbortSignal;
  /**
   * Runs a task in the background until it ends or the plugin stops (`signal` aborts). Its failure is reported and
   * counted against the plugin.
   */
  background(name: string, task: (signal: AbortSignal) => Promise<void>): void;
  /** Calls `dispose` when the plugin is stopped, in reverse order of registration. */
  onDispose(dispose: () => void | Promise<void>): void;
}
