// One node of a simulated group: its core, its disk, and a clock that is neither right nor of the right speed.

import type { RaftCore } from '../raft-core.js';
import type { ConfState, Ready, StorageAppend } from '../types.js';
import { MemoryStorage } from './memory-storage.test.kit.js';
import type { Random } from './random.test.kit.js';

/** By how much the clocks of two nodes may differ in speed. */
export const driftMargin = 0.1;

/** What a read saw when it was asked. */
export interface AskedRead {
  readonly appliedWhenAsked: number;
}

/** A node, running or not. */
export interface SimulatedNode {
  readonly id: string;
  /** Keeps no data; others never become witnesses. */
  readonly isWitness: boolean;
  /** Undefined while it is down. */
  core: RaftCore | undefined;
  /** What would be there after a crash now. */
  disk: MemoryStorage;
  /** What the running node has handed to its storage. */
  memory: MemoryStorage;
  /** Handed over, not durable yet; oldest first. */
  pending: StorageAppend[];
  /** Written without a sync: durable with the next one. */
  unsynced: StorageAppend[];
  applying: Ready[];
  asked: Map<string, AskedRead>;
  term: number;
  commit: number;
  wasLeader: boolean;
  /** The process stands still until then. */
  pausedUntil: number;
  readonly clockSpeed: number;
  readonly clockOffset: number;
}

/** A node with an empty disk. */
export function newNode(id: string, conf: ConfState, isWitness: boolean, random: Random): SimulatedNode {
  const disk = new MemoryStorage(conf);
  return {
    id,
    isWitness,
    core: undefined,
    disk,
    memory: disk,
    pending: [],
    unsynced: [],
    applying: [],
    asked: new Map(),
    term: 0,
    commit: 0,
    wasLeader: false,
    pausedUntil: 0,
    clockSpeed: 1 + random.next() * driftMargin,
    clockOffset: random.below(1_000_000),
  };
}

/** What the node's clock shows. */
export function timeOf(node: SimulatedNode, now: number): number {
  return node.clockOffset + now * node.clockSpeed;
}
