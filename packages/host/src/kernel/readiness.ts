// Whether the node is ready to serve, from where its plugins stand. Pure.

import type { Readiness } from './plugin-admin.js';
import type { PluginSlot } from './plugin-slot.js';

/** Where the host itself is. */
export type HostPhase = 'new' | 'starting' | 'running' | 'stopping';

function reasonOf(slot: PluginSlot): string | undefined {
  const { id, entry, status, health } = slot;
  if (status.state !== 'active') {
    return entry.required === true ? `required plugin ${id} is ${status.state}` : undefined;
  }
  if (health === undefined) return `plugin ${id} has not said yet how it is`;
  if (health.status !== 'unhealthy') return undefined;
  return `plugin ${id} is unhealthy${health.message === undefined ? '' : `: ${health.message}`}`;
}

/**
 * A node is ready when it runs, every required plugin is active, and no active plugin is unhealthy. Plugins that are
 * not required and not active do not count: the rest serves.
 */
export function readinessOf(phase: HostPhase, slots: Iterable<PluginSlot>): Readiness {
  if (phase !== 'running') {
    const reason = phase === 'stopping' ? 'the host is stopping' : 'the host is starting';
    return { ready: false, reasons: [reason] };
  }
  const reasons = [...slots].map(reasonOf).filter((reason) => reason !== undefined);
  return { ready: reasons.length === 0, reasons };
}

/**
 * Why a path that nobody serves may yet be served: the host is not up, or a plugin that is wanted is not active and
 * might have served it. Undefined when everything that is wanted is there.
 */
export function whyIncomplete(phase: HostPhase, slots: Iterable<PluginSlot>): string | undefined {
  if (phase !== 'running') return phase === 'stopping' ? 'the host is stopping' : 'the host is starting';
  const absent = [...slots].find(({ wanted, status }) => wanted && status.state !== 'active');
  return absent === undefined ? undefined : `plugin ${absent.id} is ${absent.status.state}`;
}
