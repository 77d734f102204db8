// Which nodes of a simulated network are cut off from the others, and which one hears everything late.

import type { NodeId } from '../types.js';
import type { Random } from './random.test.kit.js';

/** For so many steps a cut lasts that was made on purpose: longer than an election takes. */
const LASTING_STEPS = 300;

/** Two sides; within each everybody hears everybody. */
export class Partition {
  #cutOff = new Set<NodeId>();
  #late: NodeId | undefined;
  #lateBy = 0;
  #at = 0;
  #until = 0;

  /** Whether nothing gets from one of them to the other. */
  severs(from: NodeId, to: NodeId): boolean {
    return this.#cutOff.has(from) !== this.#cutOff.has(to);
  }

  /** What a message to this node takes beside its usual time. Its answers are as fast as ever. */
  extraDelay(to: NodeId): number {
    return to === this.#late ? this.#lateBy : 0;
  }

  /** Cuts some nodes off, others than before. */
  change(now: number, ids: readonly NodeId[], random: Random): void {
    if (now < this.#until) return;
    const count = random.below(ids.length);
    this.#cutOff = new Set();
    while (this.#cutOff.size < count) this.#cutOff.add(random.pick(ids));
    this.#late = random.chance(0.5) ? random.pick(ids) : undefined;
    this.#lateBy = 1 + random.below(120);
  }

  /** In a few steps there is to be a cut that lasts. */
  soon(now: number, random: Random): void {
    if (this.#at < now) this.#at = now + 1 + random.below(12);
  }

  /** Makes the cut that is due. */
  tick(now: number, ids: readonly NodeId[], random: Random): void {
    if (now !== this.#at) return;
    this.change(now, ids, random);
    this.#until = now + LASTING_STEPS;
  }

  heal(now: number): void {
    if (now < this.#until) return;
    this.#cutOff = new Set();
    this.#late = undefined;
  }

  /** Heals, and stays so. */
  healForGood(): void {
    this.#cutOff = new Set();
    this.#late = undefined;
    this.#at = 0;
  }
}
