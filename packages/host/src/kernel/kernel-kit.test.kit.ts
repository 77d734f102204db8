// Ports of a kernel in memory, for unit tests.

import { InProcessBus, MemoryBackingStore } from '@datawarehouse/sdk';
import type { Logger, PluginManifest } from '@datawarehouse/sdk';
import { FakeClock } from '@datawarehouse/sdk/testing';
import { RouteTable } from '../http/route-table.js';
import { LimitsService } from '../limits/limits-service.js';
import type { PluginScope } from './attribution.js';
import type { PluginDefinition } from './discovery.js';
import type { KernelPorts } from './ports.js';
import { ServiceDirectory } from './service-directory.js';

/** Says nothing. */
export const silentLog: Logger = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => silentLog,
};

/** Everything that contexts are made of, and the parts that a test looks at. */
export function createKit() {
  const clock = new FakeClock();
  const store = new MemoryBackingStore();
  const bus = new InProcessBus({ clock });
  const routes = new RouteTable();
  const services = new ServiceDirectory();
  const limits = new LimitsService({ bus, store, log: silentLog, clock });
  const timeouts = {
    loadMs: 10,
    initializeMs: 10,
    activateMs: 10,
    drainMs: 10,
    shutdownMs: 10,
    disposeMs: 10,
    healthMs: 10,
    healthEveryMs: 100,
  };
  const node = {
    nodeId: 'n1',
    clusterId: 'c',
    version: '0.0.0',
    httpUrl: 'http://127.0.0.1:1',
    peer: { host: '127.0.0.1', port: 2 },
    client: undefined,
    peers: {},
  };
  const ports: KernelPorts = {
    clock,
    log: silentLog,
    bus,
    store,
    routes,
    limits,
    services,
    node,
    timeouts,
    dataDir: '/nowhere',
  };
  return { clock, store, bus, routes, services, limits, ports };
}

/** A definition of plugin `p` with these fields of a manifest. */
export function definitionOf(manifest: Partial<PluginManifest> = {}): PluginDefinition {
  return {
    id: 'p',
    directory: '/plugins/p',
    packageName: 'p',
    version: '1.0.0',
    manifest: { id: 'p', sdk: '*', entry: 'index.js', ...manifest },
    entryFile: '/plugins/p/index.js',
    config: {},
  };
}

/** A scope that keeps what it is told. */
export function scopeOf(pluginId: string): PluginScope & { readonly crashes: string[] } {
  const crashes: string[] = [];
  return { pluginId, attribution: 'context', crashes, onCrash: (where) => crashes.push(where) };
}
