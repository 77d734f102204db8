export { createToken } from './service-token.js';
export { PluginManifestSchema } from './manifest.js';
export { InfrastructurePluginBase, PluginBase } from './plugin-base.js';
export { ConsensusPluginBase } from './consensus-plugin-base.js';
export { ResiliencePluginBase } from './resilience-plugin-base.js';
export { SDK_VERSION, SdkCompatibility, sdkCompatibilityOf } from './sdk-compatibility.js';
export type { HealthCheckResult, HealthStatus } from './health.js';
export type { LogMethod, Logger } from './logger.js';
export type { PluginManifest } from './manifest.js';
export type { PluginExport } from './plugin-base.js';
export type {
  Endpoint,
  ClientEndpoint,
  NodeInfo,
  PluginContext,
  RouteRegistry,
  ScalingRegistry,
  ServiceRegistry,
  TlsFiles,
} from './plugin-context.js';
export type { ServiceToken } from './service-token.js';
