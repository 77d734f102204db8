// The keys and values of a group, for the operations that only a key-value group has.

import type { RaftGroup } from '../engine/raft-group.js';
import { machineMismatch } from '../state/errors.js';
import { KeyValueState } from '../state/key-value-state.js';
import { KEY_VALUE_MACHINE } from '../state/replicated-state.js';

/** The keys and values of a group here. @throws DwError `machine-mismatch` when it holds something else. */
export function keyValuesOf(group: RaftGroup): KeyValueState {
  const { machine } = group.state;
  if (machine instanceof KeyValueState) return machine;
  throw machineMismatch(group.id, KEY_VALUE_MACHINE);
}
