// Whether a node may begin as a voter of the groups that the configuration gives it, or has lost its past and waits to be
// brought back. Pure: what is known in, a verdict out. Why every other voter must have spoken is told in
// acquaintances.ts.

import type { StartState } from './identity-record.js';

/** What a node does next. */
export type StartVerdict =
  /** Make the groups of the configuration. */
  | { readonly kind: 'bootstrap' }
  /** Open what is on the disk, and nothing else. */
  | { readonly kind: 'resume' }
  /** Wait until these peers have said that they know no other storage of this node. */
  | { readonly kind: 'wait'; readonly for: readonly string[] };

/**
 * @param others The other voters of the groups in which the configuration lets this node vote.
 * @param knownTo Whether a peer has said that it knows no other storage of this node.
 */
export function startVerdict(
  start: StartState,
  others: readonly string[],
  knownTo: (peer: string) => boolean,
): StartVerdict {
  switch (start) {
    case 'bootstrapping':
      return { kind: 'bootstrap' };
    case 'member':
    case 'returning':
      return { kind: 'resume' };
    case 'undecided': {
      const missing = others.filter((peer) => !knownTo(peer));
      return missing.length === 0 ? { kind: 'bootstrap' } : { kind: 'wait', for: missing };
    }
  }
}
