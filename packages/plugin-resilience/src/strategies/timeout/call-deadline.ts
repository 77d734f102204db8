// The deadline of one call at one timeout, which is also what that timeout keeps of the call.

import type { Call } from '../../engine/call.js';
import { Deadline } from '../../engine/deadline-queue.js';

/** Hears that the time of a call is over. */
export interface DeadlineOwner {
  timeIsOver(deadline: CallDeadline): void;
}

/** One call's deadline at the timeout in place `at`. Another call's when this one has left. */
export class CallDeadline extends Deadline {
  /** The call that is inside. */
  call: Call | undefined = undefined;
  at = 0;
  /** What the call was given for this entry; changes of the options do not touch it. */
  timeoutMs = 0;
  /** The action was told that its time is over, and the call waits for it with this error. */
  told: unknown = undefined;

  constructor(private readonly owner: DeadlineOwner) {
    super();
  }

  passed(): void {
    this.owner.timeIsOver(this);
  }
}

/**
 * Whether the deadline of a cooperative timeout further out than layer `at` has passed, so that the call only waits for
 * the action that runs. Nothing new is begun for such a call: it would have no deadline any more.
 */
export function outerDeadlinePassed(call: Call, at: number): boolean {
  const { layers } = call.path;
  for (let outer = 0; outer < at; outer++) {
    if (layers[outer]?.type !== 'timeout') continue;
    // A fork has no notes of the layers that its call is in.
    if ((call.notes[outer] as CallDeadline | undefined)?.told !== undefined) return true;
  }
  return false;
}
