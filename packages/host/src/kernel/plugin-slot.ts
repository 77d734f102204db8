// One place in the host for one plugin: what is known of it across its lives.

import type { DwError, HealthCheckResult } from '@datawarehouse/sdk';
import type { PluginEntry } from '../config/node-config.js';
import { phaseOf } from '../errors.js';
import { CrashWindow } from './crash-window.js';
import type { Discovered, PluginDefinition } from './discovery.js';
import type { PluginState, PluginSummary } from './plugin-admin.js';
import type { PluginLife } from './plugin-life.js';

/** States of a plugin that has a life under way. */
export type RunningState = Extract<
  PluginState,
  'loading' | 'initializing' | 'activating' | 'active' | 'draining'
>;

/** Where a plugin stands; each state has what belongs to it. */
export type PluginStatus =
  | { readonly state: 'discovered' }
  | { readonly state: RunningState; readonly life: PluginLife }
  /** `problem` is the first thing that went wrong while it was stopped. */
  | { readonly state: 'stopped' | 'disabled'; readonly problem?: DwError }
  | { readonly state: 'failed' | 'quarantined'; readonly problem: DwError }
  /** `culprit` is the plugin at the root of it, or the service that nobody provides. */
  | { readonly state: 'blocked'; readonly problem: DwError; readonly culprit: string };

/** What the host knows of a plugin. Mutable; only the supervisor changes it. */
export interface PluginSlot {
  readonly id: string;
  readonly entry: PluginEntry;
  /** Undefined when its package or manifest cannot be used; then the status says why. */
  definition: PluginDefinition | undefined;
  status: PluginStatus;
  /** Whether it should run: configured so and not switched off by an operator. */
  wanted: boolean;
  readonly crashes: CrashWindow;
  /** Set while the plugin waits to be quarantined. */
  condemned: DwError | undefined;
  /** Settles when what remains of its latest life has ended. Never rejects. */
  ending: Promise<void>;
  /** Undefined until it has answered for the first time in its present life. */
  health: HealthCheckResult | undefined;
  name: string;
}

/** A new slot from what discovery found. */
export function createSlot(found: Discovered): PluginSlot {
  const wanted = found.entry.enabled ?? true;
  const slot: PluginSlot = {
    id: found.id,
    entry: found.entry,
    definition: undefined,
    status: { state: 'discovered' },
    wanted,
    crashes: new CrashWindow(),
    condemned: undefined,
    ending: Promise.resolve(),
    health: undefined,
    name: found.id,
  };
  applyDiscovery(slot, found);
  return slot;
}

/** Takes over what discovery found, in a slot without a life. */
export function applyDiscovery(slot: PluginSlot, found: Discovered): void {
  slot.definition = 'definition' in found ? found.definition : undefined;
  slot.condemned = undefined;
  slot.status = !slot.wanted
    ? { state: 'disabled' }
    : 'failure' in found
      ? { state: 'failed', problem: found.failure }
      : { state: 'discovered' };
}

/** The life of a slot that has one under way. */
export function lifeOf(slot: PluginSlot): PluginLife | undefined {
  return 'life' in slot.status ? slot.status.life : undefined;
}

/** What went wrong, if the status says. */
export function problemOf(slot: PluginSlot): DwError | undefined {
  return 'problem' in slot.status ? slot.status.problem : undefined;
}

/** A slot as operators see it. */
export function summaryOf(slot: PluginSlot): PluginSummary {
  const problem = problemOf(slot);
  const phase = problem && phaseOf(problem);
  return {
    id: slot.id,
    name: slot.name,
    version: slot.definition?.version ?? 'unknown',
    package: slot.definition?.packageName ?? slot.entry.package,
    state: slot.status.state,
    required: slot.entry.required ?? false,
    ...(problem && { reason: problem.message, code: problem.code }),
    ...(phase && { phase }),
    ...(slot.status.state === 'active' && slot.health && { health: slot.health }),
    provides: slot.definition?.manifest.provides ?? [],
    requires: slot.definition?.manifest.requires ?? [],
    crashes: slot.crashes.total,
  };
}
