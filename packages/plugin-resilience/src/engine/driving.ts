// Drives calls one after another, never one within another: a call that a layer lets go on while another is being driven
// goes on after it, so that a long row of calls that wait for one another does not deepen the stack.

/** What is driven. */
interface Drivable {
  /** Goes as far as it can. */
  drive(): void;
}

/**
 * Microtasks that an action that was given up is left for its own clean-up, before those that waited for its place begin.
 * An action that listens to its signal has let go by then.
 */
const UNWINDING_TURNS = 4;

/** Calls that a layer let go on while another was being driven. Each call is in it at most once. */
const ready: Drivable[] = [];
let driving = false;

/** Lets a call go as far as it can: now, or after the one that is being driven. @returns whether it did so now. */
export function proceed(call: Drivable): boolean {
  if (driving) {
    ready.push(call);
    return false;
  }
  driving = true;
  try {
    call.drive();
    for (let n = 0; n < ready.length; n++) (ready[n] as Drivable).drive();
  } finally {
    if (ready.length > 0) ready.length = 0;
    driving = false;
  }
  return true;
}

/** Does `change`, which gives an action up. Nobody that waited begins before the action could unwind. */
export function undisturbed(change: () => void): void {
  const outermost = !driving;
  driving = true;
  try {
    change();
  } finally {
    if (outermost) {
      driving = false;
      if (ready.length > 0) proceedLater(ready.splice(0));
    }
  }
}

/** Lets calls go on after actions that were given up have had a moment to unwind. */
function proceedLater(calls: readonly Drivable[], turns = UNWINDING_TURNS): void {
  queueMicrotask(() => {
    if (turns > 1) proceedLater(calls, turns - 1);
    else for (const call of calls) proceed(call);
  });
}
