// The state of one group as the engine drives it: the group's own part around the state machine that it runs.

import type { AppliedEntry } from '@datawarehouse/sdk';
import type { Outcome } from './outcome.js';
import type { ReplicatedState, StateRestorer } from './replicated-state.js';

/** What all replicas of a group have in common. */
export class GroupState {
  /** @param machine The state machine that the group runs. */
  constructor(readonly machine: ReplicatedState) {}

  /** Applies a command to the machine. @throws what the machine throws. */
  apply(entry: AppliedEntry): Outcome {
    return this.machine.apply(entry);
  }

  /** The whole state as of this call. */
  snapshot(): Iterable<Uint8Array> {
    return this.machine.snapshot();
  }

  /** Begins to take another state in. */
  beginRestore(): StateRestorer {
    return this.machine.beginRestore();
  }

  /** Equal on replicas that have applied the same entries. */
  stateHash(appliedIndex: number): string {
    return this.machine.stateHash(appliedIndex);
  }
}
