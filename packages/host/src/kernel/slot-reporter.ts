// Moves plugins from state to state and tells of it: a log line and an announcement for each change, and a log line
// for each thing that went wrong, with the plugin, the phase, the code and one thing to do.

import type { DwError, Logger } from '@datawarehouse/sdk';
import { causeStack, phaseOf } from '../errors.js';
import type { PluginSlot, PluginStatus } from './plugin-slot.js';
import { problemOf } from './plugin-slot.js';

/** A plugin moved from one state to another. */
export interface PluginStateChange {
  readonly pluginId: string;
  readonly previous: string;
  readonly current: string;
  readonly reason?: string;
}

/** Changes states and tells of them. */
export class SlotReporter {
  constructor(
    private readonly log: Logger,
    private readonly onStateChanged: (change: PluginStateChange) => void,
  ) {}

  /** Gives a slot another status. A status with the same state is taken over in silence. */
  setStatus(slot: PluginSlot, status: PluginStatus): void {
    const previous = slot.status.state;
    slot.status = status;
    this.announce(slot, previous);
  }

  /** Tells that a slot was in state `previous`, unless it still is. */
  announce(slot: PluginSlot, previous: string): void {
    const current = slot.status.state;
    if (current === previous) return;
    const reason = problemOf(slot)?.message;
    const level = current === 'active' ? 'info' : 'debug';
    this.log[level]({ plugin: slot.id, previous, current }, `plugin ${slot.id} is ${current}`);
    this.onStateChanged({ pluginId: slot.id, previous, current, ...(reason && { reason }) });
  }

  /** Logs what went wrong. */
  problem(slot: PluginSlot, problem: DwError): void {
    const stack = causeStack(problem.cause);
    const fields = {
      plugin: slot.id,
      code: problem.code,
      phase: phaseOf(problem),
      hint: problem.hint,
      ...(stack !== undefined && { stack }),
    };
    this.log.error(fields, problem.message);
  }
}
