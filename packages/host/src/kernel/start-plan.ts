// Decides what is to become of a plugin that waits to be started: start it, let it wait on, or say why it cannot be.
// Pure: looks at slots and answers.

import type { DwError } from '@datawarehouse/sdk';
import { dependencyErrors } from '../errors.js';
import type { DependencyGraph, DependencyNode } from './dependency-graph.js';
import { analyseDependencies } from './dependency-graph.js';
import type { PluginSlot } from './plugin-slot.js';

/** What is to become of a waiting plugin. */
export type StartDecision =
  | { readonly kind: 'start' }
  | { readonly kind: 'wait' }
  | { readonly kind: 'fail'; readonly problem: DwError }
  | { readonly kind: 'block'; readonly problem: DwError; readonly culprit: string };

/** The slots and how they depend on one another. */
export interface StartPlan {
  readonly slots: ReadonlyMap<string, PluginSlot>;
  readonly graph: DependencyGraph;
}

/** Errors that take a plugin out of the graph: it stays out until an operator asks for it again. */
const STRUCTURAL: ReadonlySet<string> = new Set(['plugin-duplicate-provider', 'plugin-dependency-cycle']);

function takesPart({ definition, wanted, status }: PluginSlot): boolean {
  if (definition === undefined || !wanted) return false;
  return status.state !== 'failed' || !STRUCTURAL.has(status.problem.code);
}

/** Works out the graph of the plugins that are wanted. `isHostService` tells services that need no plugin. */
export function planStart(
  slots: ReadonlyMap<string, PluginSlot>,
  isHostService: (id: string) => boolean,
): StartPlan {
  const nodes = [...slots.values()].filter(takesPart).map(({ id, definition }): DependencyNode => ({
    id,
    provides: definition?.manifest.provides ?? [],
    requires: (definition?.manifest.requires ?? []).filter((service) => !isHostService(service)),
    optional: definition?.manifest.optional ?? [],
  }));
  return { slots, graph: analyseDependencies(nodes) };
}

function isDown(slot: PluginSlot): boolean {
  return ['failed', 'blocked', 'quarantined', 'disabled', 'stopped', 'draining'].includes(slot.status.state);
}

function describe({ status }: PluginSlot): string {
  if (status.state === 'failed') return `failed (${status.problem.message})`;
  if (status.state === 'blocked') return `is itself blocked by ${status.culprit}`;
  return status.state === 'draining' ? 'is being stopped' : `is ${status.state}`;
}

function blockedBy(id: string, service: string, provider: PluginSlot): StartDecision {
  const culprit = provider.status.state === 'blocked' ? provider.status.culprit : provider.id;
  const problem = dependencyErrors.blocked(id, service, provider.id, describe(provider));
  return { kind: 'block', problem, culprit };
}

function decideProblem(slot: PluginSlot, plan: StartPlan): StartDecision | undefined {
  const problem = plan.graph.problems.get(slot.id);
  switch (problem?.kind) {
    case undefined:
      return undefined;
    case 'duplicate':
      return {
        kind: 'fail',
        problem: dependencyErrors.duplicateProvider(slot.id, problem.service, problem.providers),
      };
    case 'cycle':
      return { kind: 'fail', problem: dependencyErrors.cycle(slot.id, problem.loop) };
    case 'missing': {
      const { service } = problem;
      const all = [...plan.slots.values()];
      const known = all.find(({ definition }) => definition?.manifest.provides?.includes(service));
      if (known !== undefined && known.id !== slot.id) return blockedBy(slot.id, service, known);
      const unread = all.filter(({ definition }) => definition === undefined).map(({ id }) => id);
      return {
        kind: 'block',
        problem: dependencyErrors.providerMissing(slot.id, service, unread),
        culprit: service,
      };
    }
  }
}

/** What is to become of a slot in state `discovered` or `blocked`. */
export function decide(slot: PluginSlot, plan: StartPlan): StartDecision {
  const problem = decideProblem(slot, plan);
  if (problem !== undefined) return problem;
  let waits = false;
  for (const { service, provider } of plan.graph.needs.get(slot.id) ?? []) {
    const other = plan.slots.get(provider);
    if (other === undefined || other.status.state === 'active') continue;
    if (isDown(other)) return blockedBy(slot.id, service, other);
    waits = true;
  }
  for (const { provider } of plan.graph.uses.get(slot.id) ?? []) {
    // It is waited for while it is on its way up, and done without when it is down.
    const other = plan.slots.get(provider);
    if (other !== undefined && other.status.state !== 'active' && !isDown(other)) waits = true;
  }
  return waits ? { kind: 'wait' } : { kind: 'start' };
}
