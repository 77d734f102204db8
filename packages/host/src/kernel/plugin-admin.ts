// What an operator can see of the plugins and do to them. The admin API and the `dw plugins` command stand on this
// interface; the kernel implements it.

import type { HealthCheckResult } from '@datawarehouse/sdk';

/**
 * Where a plugin is in its life.
 *
 * - `discovered`: its manifest was read and checked; it waits for what it requires
 * - `loading`, `initializing`, `activating`: on its way up
 * - `active`: serves
 * - `draining`: takes no new work, finishes what is under way, then lets go
 * - `stopped`: the host is stopped
 * - `disabled`: off by configuration or by an operator
 * - `failed`: a step threw or ran out of time; `reason`, `phase` and `code` say which
 * - `blocked`: something it requires is not active; `reason` names the culprit
 * - `quarantined`: crashed too often in too short a time; stays down until an operator enables it
 */
export type PluginState =
  | 'discovered'
  | 'loading'
  | 'initializing'
  | 'activating'
  | 'active'
  | 'draining'
  | 'stopped'
  | 'disabled'
  | 'failed'
  | 'blocked'
  | 'quarantined';

/** A step of a plugin's life, as error messages and {@link PluginSummary.phase} name it. */
export type PluginPhase =
  | 'discover'
  | 'load'
  | 'construct'
  | 'initialize'
  | 'activate'
  | 'run'
  | 'drain'
  | 'shutdown'
  | 'dispose';

/** A plugin as an operator sees it. */
export interface PluginSummary {
  readonly id: string;
  /** Name for people; the id until the plugin was constructed. */
  readonly name: string;
  readonly version: string;
  /** The package it comes from, as the configuration or discovery names it. */
  readonly package: string;
  readonly state: PluginState;
  /** Whether the host cannot do without it. */
  readonly required: boolean;
  /** Why it is not active; one sentence. */
  readonly reason?: string;
  /** In which step it failed. */
  readonly phase?: PluginPhase;
  /** Code of the error it failed with. */
  readonly code?: string;
  /** What it said of itself last. */
  readonly health?: HealthCheckResult;
  readonly provides: readonly string[];
  readonly requires: readonly string[];
  /** Crashes counted since the host started. */
  readonly crashes: number;
}

/** Whether the node is ready to serve, and if not, why: one sentence for each reason. */
export interface Readiness {
  readonly ready: boolean;
  readonly reasons: readonly string[];
}

/** What can be done to plugins while the host runs. */
export interface PluginAdmin {
  /** Every plugin that is configured or was found, in order of id. */
  list(): readonly PluginSummary[];
  /**
   * Starts a plugin that is disabled, failed, blocked or quarantined, and then those that it blocked. Clears its
   * crash count. Does nothing to an active one.
   * @throws DwError `plugin-unknown` (404), `host-stopping` (503), and the plugin's own failure (`plugin-failed`, …).
   */
  enable(id: string): Promise<PluginSummary>;
  /**
   * Stops a plugin, after those that depend on it, which become `blocked`. Nothing of it is left behind.
   * @throws DwError `plugin-unknown` (404), `plugin-required` (409) when the host cannot do without it,
   * `host-stopping` (503).
   */
  disable(id: string): Promise<PluginSummary>;
  /**
   * Stops a plugin and its dependents, reads its manifest and code again, and starts them.
   * @throws as {@link enable}.
   */
  reload(id: string): Promise<PluginSummary>;
  /** Whether the node is ready to serve. */
  readiness(): Readiness;
}
