// The state machines that groups of this node may run: key-values always, and those that plugins have registered.

import { machineUnknown } from '../state/errors.js';
import { KeyValueState } from '../state/key-value-state.js';
import { KEY_VALUE_MACHINE, type StateFactory } from '../state/replicated-state.js';
import type { GroupOptions } from './group-host.js';

/** State machines by name, as they were registered. */
export type Machines = ReadonlyMap<string, StateFactory> | undefined;

const createKeyValues: StateFactory = () => new KeyValueState();

/** Whether a group that runs this machine can be opened now. */
export function hasMachine(machines: Machines, name: string = KEY_VALUE_MACHINE): boolean {
  return name === KEY_VALUE_MACHINE || machines?.has(name) === true;
}

/** The machine of this name. @throws DwError `state-machine-unknown`. */
export function machineOf(machines: Machines, name: string): GroupOptions['machine'] {
  const create = name === KEY_VALUE_MACHINE ? createKeyValues : machines?.get(name);
  if (create === undefined) throw machineUnknown(name);
  return { name, create };
}
