// The instances of all policies, one for each (policy, key), in one bounded registry: the least recently used goes when
// there is no room, but only one that is idle. An open breaker, a call under way, a limiter that is not full are never
// forgotten. To keep an insertion short it looks at a bounded number of the oldest; those that are busy go to the back,
// so that the next insertion looks at others. When all that it looked at are busy, the new key is refused.

import type { Clock, TimerHandle } from '@datawarehouse/sdk';
import type { Call, CallPath, Ending } from '../engine/call.js';
import type { Layer } from '../engine/layer.js';
import type { PolicyShape } from './policy-shape.js';

/** Instances that one insertion looks at for one that may go. 32 take a few microseconds. */
const CANDIDATES = 32;
/** Instances that one turn of the event loop looks at while the registry shrinks. */
const SHRINK_SLICE = 512;

/** What an instance belongs to: its policy. */
export interface InstanceOwner {
  /** Told of the end of each call of its instances. */
  ended(call: Call, ending: Ending): void;
  /** Whether forgetting the instance loses nothing. */
  idle(instance: Instance, now: number): boolean;
  /** The instance is forgotten. */
  forget(instance: Instance): void;
}

/** The layers that calls of one key go through, made for one shape of the policy. Calls keep the row they began with. */
export class Row implements CallPath {
  constructor(
    readonly layers: readonly Layer[],
    readonly shape: PolicyShape,
    private readonly instance: Instance,
  ) {}

  get givesUp(): boolean {
    return this.shape.givesUp;
  }

  ended(call: Call, ending: Ending): void {
    const { instance } = this;
    instance.running--;
    instance.owner.ended(call, ending);
  }
}

/** What a policy keeps for one key. There are many of them: every field counts. */
export class Instance {
  row: Row | undefined = undefined;
  /** Calls under way, through whichever row. */
  running = 0;
  /** The last order to all keys (isolate, reset) that it has followed. */
  heard = 0;
  /** Neighbours in the order of use. */
  newer: Instance | undefined = undefined;
  older: Instance | undefined = undefined;

  constructor(
    readonly owner: InstanceOwner,
    readonly key: string,
  ) {}
}

/** All instances, in the order in which they were last used. */
export class InstanceRegistry {
  /** Instances that were forgotten to make room. */
  evictions = 0;
  /** Keys that were refused, because nothing could be forgotten. */
  refusals = 0;
  private count = 0;
  private newest: Instance | undefined;
  private oldest: Instance | undefined;
  private shrinking: TimerHandle | undefined;

  constructor(
    private readonly clock: Clock,
    private most: number,
  ) {}

  get size(): number {
    return this.count;
  }

  get limit(): number {
    return this.most;
  }

  /** Takes a new instance in. @returns false when there is no room and nothing that was looked at may go. */
  add(instance: Instance): boolean {
    if (this.count >= this.most) {
      this.makeRoom(CANDIDATES, this.most - 1);
      if (this.count >= this.most) {
        this.refusals++;
        return false;
      }
    }
    this.count++;
    this.putNewest(instance);
    return true;
  }

  /** The instance is used now. On the hot path. */
  touch(instance: Instance): void {
    if (instance === this.newest) return;
    this.unlink(instance);
    this.putNewest(instance);
  }

  /** Takes an instance out, whatever it holds. */
  remove(instance: Instance): void {
    this.unlink(instance);
    this.count--;
  }

  /** Puts another limit in force. Idle instances above it go in the turns that follow; busy ones stay until they are idle. */
  resize(limit: number): void {
    this.most = limit;
    this.shrinking?.cancel();
    this.shrinking = undefined;
    this.shrink(this.count);
  }

  /** Stops shrinking. */
  dispose(): void {
    this.shrinking?.cancel();
    this.shrinking = undefined;
  }

  /** @param left Instances that have not been looked at; each is looked at once. */
  private shrink(left: number): void {
    if (this.count <= this.most || left <= 0) return;
    this.shrinking = this.clock.setImmediate(() => {
      this.shrinking = undefined;
      this.makeRoom(Math.min(SHRINK_SLICE, left), this.most);
      this.shrink(left - SHRINK_SLICE);
    });
  }

  /** Forgets idle instances, oldest first, until `wanted` are left or `candidates` were looked at. */
  private makeRoom(candidates: number, wanted: number): void {
    const now = this.clock.now();
    for (let n = 0; n < candidates && this.count > wanted; n++) {
      const candidate = this.oldest as Instance;
      if (candidate.running > 0 || !candidate.owner.idle(candidate, now)) {
        this.touch(candidate);
        continue;
      }
      this.remove(candidate);
      this.evictions++;
      candidate.owner.forget(candidate);
    }
  }

  private putNewest(instance: Instance): void {
    const { newest } = this;
    instance.older = newest;
    if (newest === undefined) this.oldest = instance;
    else newest.newer = instance;
    this.newest = instance;
  }

  private unlink(instance: Instance): void {
    const { newer, older } = instance;
    if (newer === undefined) this.newest = older;
    else newer.older = older;
    if (older === undefined) this.oldest = newer;
    else older.newer = newer;
    instance.newer = undefined;
    instance.older = undefined;
  }
}
