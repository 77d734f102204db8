// Checks a configuration that was read back from JSON: what is on disk is believed only as far as it makes sense.

import type { ConfState } from '../raft/types.js';

const lists = ['voters', 'votersOutgoing', 'learners', 'learnersNext'] as const;

/** Whether `value` is a {@link ConfState}. */
export function isConfState(value: unknown): value is ConfState {
  if (typeof value !== 'object' || value === null) return false;
  const conf = value as Record<string, unknown>;
  return typeof conf['autoLeave'] === 'boolean' && lists.every((name) => isTextList(conf[name]));
}

function isTextList(value: unknown): boolean {
  return Array.isArray(value) && value.every((one) => typeof one === 'string');
}
