// Errors of nodes in the words of upstream, where it has the same ones.

import { textOfError } from '../suite.js';

/** What a message or a proposal that was not taken ended with. */
export function textOfStepError(error: unknown): string {
  const code = (error as { readonly code?: unknown } | undefined)?.code;
  return code === 'proposal-dropped' ? 'raft proposal dropped' : textOfError(error);
}
