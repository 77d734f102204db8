// Has V8 optimize a host's code early. V8 11 has no tier between its baseline code and TurboFan, and takes a function to
// TurboFan only after it has run several times 66 KiB of its bytecode. At some hundred writes a second that goes on for
// most of a minute: the host runs slow code meanwhile, and the compiler's threads are at work in short bursts all the
// time, which stand in the way of the event loop and of the disk where there are few cores. V8 12 and later have Maglev
// in between and need nothing.

import { setFlagsFromString } from 'node:v8';

const FLAG = '--interrupt-budget';
/** A seventh of V8's own: writes one at a time reach their full speed in seconds, and many at once are no slower. */
const BUDGET = 10_000;
const VERSION_WITHOUT_MIDDLE_TIER = '11';

/**
 * The V8 flags that a host sets.
 * @param v8Version As in `process.versions.v8`.
 * @param given The flags that node was started with. Whoever set the budget there knows why.
 */
export function earlyOptimizationFlags(v8Version: string, given: readonly string[]): readonly string[] {
  if (v8Version.split('.', 1)[0] !== VERSION_WITHOUT_MIDDLE_TIER) return [];
  if (given.some((flag) => flag.replaceAll('_', '-').startsWith(FLAG))) return [];
  return [`${FLAG}=${BUDGET}`];
}

/** Sets them for this process. */
export function optimizeEarly(): void {
  for (const flag of earlyOptimizationFlags(process.versions.v8, process.execArgv)) setFlagsFromString(flag);
}
