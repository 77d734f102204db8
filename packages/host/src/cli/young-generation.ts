// How large V8's young generation is in the nodes that `dw up` starts. What a write leaves behind lives for some
// milliseconds, until it is committed and applied: where the young generation is collected more often than that, all of it
// is copied for nothing, twice. V8's own 16 MiB fill many times a second under load; with twice that a tenth of the
// processor time of a write goes away, for at most 48 MiB of memory. It cannot be set once a process runs.

const FLAG = '--max-semi-space-size';
const MIB = 32;

/**
 * The flags to start a node with.
 * @param given Those that this process was started with, which the node gets as well. Whoever set the size knows why.
 * @param environment `NODE_OPTIONS`, which the node has, too.
 */
export function nodeFlags(given: readonly string[], environment = ''): readonly string[] {
  const set = [...given, ...environment.split(/\s+/)];
  if (set.some((flag) => flag.replaceAll('_', '-').startsWith(FLAG))) return given;
  return [`${FLAG}=${MIB}`, ...given];
}
