// The base classes of plugins and the four steps of a plugin's life.

import type { HealthCheckResult } from './health.js';
import type { PluginContext } from './plugin-context.js';

/**
 * A plugin. The host constructs it, then calls, each once and each with a deadline:
 *
 * 1. {@link initializeAsync}: take what is needed from the context, provide services, register routes
 * 2. {@link activateAsync}: begin to work; everything this plugin requires is active
 * 3. {@link drainAsync}: take no new work, finish what is under way
 * 4. {@link shutdownAsync}: let go. What was taken from the context is disposed of afterwards by the host
 *
 * What any of them throws fails this plugin and no other.
 */
export abstract class PluginBase {
  /** The same id as in the manifest. */
  abstract readonly id: string;
  /** A name for people. */
  abstract readonly name: string;
  /** Version of the plugin. */
  abstract readonly version: string;

  initializeAsync(_context: PluginContext): Promise<void> | void {}
  activateAsync(_signal: AbortSignal): Promise<void> | void {}
  drainAsync(_signal: AbortSignal): Promise<void> | void {}
  shutdownAsync(): Promise<void> | void {}

  /** How the plugin is. Asked every second or so while it is active; must be quick. */
  checkHealthAsync(): Promise<HealthCheckResult> | HealthCheckResult {
    return { status: 'healthy' };
  }
}

/** A plugin that gives the others infrastructure, such as consensus or resilience. */
export abstract class InfrastructurePluginBase extends PluginBase {
  /** Which kind of infrastructure: `Consensus`, `Resilience`, `Network`, … */
  abstract readonly infrastructureDomain: string;
}

/** What a plugin's entry module exports as `plugin`: a class without constructor arguments, or a factory. */
export type PluginExport = (new () => PluginBase) | (() => PluginBase | Promise<PluginBase>);
