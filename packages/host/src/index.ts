// The door of the host: what is needed to embed it.

export { FATAL_EXIT_CODE, Host } from './kernel/host.js';
export { loadNodeConfig, parseNodeConfig } from './config/node-config.js';
export type { HostAddress, HostInventory, HostOverrides } from './kernel/host.js';
export type { KernelTimeouts, NodeConfig, PluginEntry } from './config/node-config.js';
export type {
  PluginAdmin,
  PluginPhase,
  PluginState,
  PluginSummary,
  Readiness,
} from './kernel/plugin-admin.js';
