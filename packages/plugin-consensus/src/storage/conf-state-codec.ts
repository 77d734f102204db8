// Checks a configuration that was read back from JSON: what is on disk is believed only as far as it makes sense.

import type { ConfState } from '../raft/types.js';

const lists = ['voters', 'votersOutgoing', 'learners', 'learnersNext'] as const;

/** Reads a {@link ConfState}; undefined when it is none. One that was stored before there were witnesses has none. */
export function readConfState(value: unknown): ConfState | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const conf = value as Record<string, unknown>;
  const { witnesses = [] } = conf;
  if (typeof conf['autoLeave'] !== 'boolean' || !isTextList(witnesses)) return undefined;
  if (!lists.every((name) => isTextList(conf[name]))) return undefined;
  return { ...(conf as unknown as ConfState), witnesses };
}

function isTextList(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string');
}
