// Changes of membership that an operator might ask for, sound or not: the core must refuse what does not fit.

import { isDwError } from '@datawarehouse/sdk';
import type { RaftCore } from '../raft-core.js';
import type { ConfChange, ConfChangeSingle, ConfChangeTransition } from '../types.js';
import type { Random } from './random.test.kit.js';
import type { SimulatedNode } from './simulated-node.test.kit.js';

const transitions: readonly ConfChangeTransition[] = ['auto', 'auto', 'joint-implicit', 'joint-explicit'];
const nothing = new Uint8Array(0);

/** The change that leaves a joint membership. */
export const leaving: ConfChange = { transition: 'auto', changes: [], context: nothing };

/** A change of up to three nodes; while the membership is joint mostly the one that leaves it. */
export function someChange(core: RaftCore, nodes: readonly SimulatedNode[], random: Random): ConfChange {
  if (core.status().conf.votersOutgoing.length > 0 && random.chance(0.7)) return leaving;
  const changes = new Map<string, ConfChangeSingle>();
  // Mostly one or a few, sometimes so many that the majorities before and after have nobody in common.
  const count = random.chance(0.2) ? nodes.length * 2 : 1 + random.below(3);
  for (let i = 0; i < count; i++) {
    const node = random.pick(nodes);
    changes.set(node.id, { type: someType(node, random), nodeId: node.id });
  }
  return { transition: random.pick(transitions), changes: [...changes.values()], context: nothing };
}

function someType(node: SimulatedNode, random: Random): ConfChangeSingle['type'] {
  if (node.isWitness) return random.pick(['add-witness', 'remove']);
  return random.pick(['add-voter', 'add-voter', 'add-learner', 'remove']);
}

/** Does something that may be refused for these reasons. */
export function refusable(codes: readonly string[], work: () => unknown): void {
  try {
    work();
  } catch (error) {
    if (!isDwError(error) || !codes.includes(error.code)) throw error;
  }
}
