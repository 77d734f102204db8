// The registry beside a list that does the same in the plainest way.

import { FakeClock } from '@datawarehouse/sdk/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { InstanceOwner } from './instances.js';
import { Instance, InstanceRegistry } from './instances.js';

const KEYS = 12;

type Step =
  | { readonly do: 'use' | 'begin' | 'end' | 'open' | 'close' | 'remove'; readonly key: number }
  | { readonly do: 'resize'; readonly limit: number };

const key = fc.nat(KEYS - 1);
/** Keys become busy more often than idle, so that all of them are at times. */
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('use' as const), key }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constantFrom('begin' as const, 'open' as const), key }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('end' as const, 'close', 'remove'), key }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('resize' as const), limit: fc.integer({ min: 1, max: 8 }) }),
  },
);

/** A registry, and the keys that it should hold: the least recently used first. */
class Both implements InstanceOwner {
  readonly registry = new InstanceRegistry(new FakeClock(), 6);
  private readonly held = new Map<string, Instance>();
  private readonly open = new Set<string>();
  private list: string[] = [];
  private limit = 6;

  ended(): void {
    // No calls are made.
  }

  idle(instance: Instance): boolean {
    return !this.open.has(instance.key);
  }

  forget(instance: Instance): void {
    this.held.delete(instance.key);
  }

  take(one: Step): void {
    if (one.do === 'resize') {
      this.limit = one.limit;
      this.registry.resize(one.limit);
      // What is above the limit goes in later turns: here, when a key comes.
      this.registry.dispose();
      return;
    }
    const name = `k${one.key}`;
    const instance = this.held.get(name);
    if (one.do === 'use') this.use(name, instance);
    else if (instance === undefined) return;
    else if (one.do === 'begin') instance.running++;
    else if (one.do === 'end') instance.running = Math.max(0, instance.running - 1);
    else if (one.do === 'open') this.open.add(name);
    else if (one.do === 'close') this.open.delete(name);
    else {
      this.registry.remove(instance);
      this.held.delete(name);
      this.list = this.list.filter((other) => other !== name);
    }
  }

  check(): void {
    expect(this.registry.size).toBe(this.list.length);
    expect([...this.held.keys()].toSorted()).toEqual(this.list.toSorted());
  }

  private use(name: string, instance: Instance | undefined): void {
    if (instance !== undefined) {
      this.registry.touch(instance);
      this.list = [...this.list.filter((other) => other !== name), name];
      return;
    }
    this.open.delete(name);
    const added = new Instance(this, name);
    const wanted = this.makeRoom();
    expect(this.registry.add(added)).toBe(wanted);
    if (!wanted) return;
    this.held.set(name, added);
    this.list.push(name);
  }

  /** Oldest first: those that are idle go, the others move to the back, each looked at as often as the registry may. */
  private makeRoom(): boolean {
    if (this.list.length < this.limit) return true;
    for (let n = 0; n < 32 && this.list.length > this.limit - 1; n++) {
      const [oldest, ...others] = this.list;
      const name = oldest as string;
      const busy = (this.held.get(name)?.running ?? 0) > 0 || this.open.has(name);
      this.list = busy ? [...others, name] : others;
    }
    return this.list.length < this.limit;
  }
}

describe('the registry of instances', () => {
  it('holds what a plain list of the least recently used would, whatever is done', () => {
    let refusals = 0;
    let evictions = 0;
    fc.assert(
      fc.property(fc.array(step, { minLength: 120, maxLength: 120 }), (steps) => {
        const both = new Both();
        for (const one of steps) {
          both.take(one);
          both.check();
        }
        refusals += both.registry.refusals;
        evictions += both.registry.evictions;
      }),
      { numRuns: 300 },
    );
    expect(refusals).toBeGreaterThan(50);
    expect(evictions).toBeGreaterThan(50);
  });
});
