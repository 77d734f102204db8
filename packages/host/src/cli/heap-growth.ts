// How far V8 lets the old generation of a host grow before it looks through the whole heap again. Its own choice goes by
// how fast a program makes garbage: up to four times what lives, and some 1.4 times where that is slow. A replica of
// 200 MiB under a thousand writes a second was looked through every seven seconds, and each time writes waited for some
// 20 ms, because the marking takes processors from the event loops of all nodes of a small machine. So a host has V8's own
// largest growth always. V8 stays below its limit for the heap all the same: it goes no further than half way to it at a
// time.

import { setFlagsFromString } from 'node:v8';

const FLAG = '--heap-growing-percent';
const PERCENT = 300;

/**
 * The V8 flags that a host sets.
 * @param given The flags that node was started with. Whoever set the growth there knows why.
 */
export function heapGrowthFlags(given: readonly string[]): readonly string[] {
  if (given.some((flag) => flag.replaceAll('_', '-').startsWith(FLAG))) return [];
  return [`${FLAG}=${PERCENT}`];
}

/** Sets them for this process. */
export function collectSeldom(): void {
  for (const flag of heapGrowthFlags(process.execArgv)) setFlagsFromString(flag);
}
