// Calls through layers that do anything they may, at any time: whatever happens, each layer is entered and left or
// abandoned in turn, and each call ends once.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CallPath, Ending } from './call.js';
import type { Call } from './call.js';
import { callThrough } from './call.js';
import type { Layer, Step } from './layer.js';

const LAYERS = 3;

/** What happens next, where a choice is to be made. */
class Choices {
  private at = 0;

  constructor(private readonly made: readonly number[]) {}

  /** One of `of`; the first ones end things sooner. */
  next(of: number): number {
    const choice = this.made[this.at++];
    return choice === undefined ? 0 : choice % of;
  }
}

/** Who is at a layer, for checking its contract. */
class CheckedLayer implements Layer {
  readonly type = 'chaos';
  readonly inside = new Map<Call, number>();
  readonly waiting = new Set<Call>();

  /** Breaches of the contract. What throws here would be taken for a defect of the layer. */
  readonly breaches: string[] = [];

  constructor(
    private readonly choices: Choices,
    private readonly disturb: (call: Call, at: number) => void,
  ) {}

  enter(call: Call, at: number): Step {
    this.check(!this.inside.has(call), 'entered twice');
    return this.choose(call, at, true);
  }

  leave(call: Call, at: number): Step {
    this.check(this.inside.get(call) === at, 'left by a call that is not inside');
    this.check(!this.waiting.has(call), 'left by a call that waits');
    this.inside.delete(call);
    return this.choose(call, at, false);
  }

  abandon(call: Call, at: number): void {
    this.check(this.inside.get(call) === at, 'abandoned by a call that is not inside');
    this.inside.delete(call);
    this.waiting.delete(call);
  }

  idle(): boolean {
    return this.inside.size === 0;
  }

  /** Lets one that waits go on, one way or the other. */
  letGo(): void {
    for (const call of this.waiting) {
      const at = this.inside.get(call) as number;
      this.waiting.delete(call);
      if (this.choices.next(3) > 0) {
        call.goIn(at);
        return;
      }
      // It goes out without seeing this layer again.
      this.inside.delete(call);
      call.succeed('let out');
      call.goOut(at);
      return;
    }
  }

  private check(kept: boolean, breach: string): void {
    if (!kept) this.breaches.push(breach);
  }

  private choose(call: Call, at: number, entering: boolean): Step {
    const choice = this.choices.next(10);
    if (choice === 9) this.disturb(call, at);
    if (choice === 8) {
      throw new Error('a defect of a layer');
    }
    if (entering ? choice === 1 : choice < 6) {
      if (entering) call.succeed('answered');
      return 'out';
    }
    if (choice === 7) {
      this.inside.set(call, at);
      this.waiting.add(call);
      return 'wait';
    }
    this.inside.set(call, at);
    return 'in';
  }
}

interface CallUnderTest {
  readonly controller: AbortController;
  settled: number;
}

async function goThrough(made: readonly number[]): Promise<{ calls: number; endings: Ending[] }> {
  const choices = new Choices(made);
  const endings: Ending[] = [];
  const begun: CallUnderTest[] = [];
  const live = new Set<Call>();
  const actions: ((value: string) => void)[] = [];
  const disturb = (call: Call, at: number): void => {
    live.add(call);
    const kind = choices.next(4);
    if (kind === 0) call.cancel(new Error('by a layer'));
    if (kind === 1 && at > 0) {
      const outer = choices.next(at);
      if (call.ended || layers[outer]?.inside.delete(call) !== true) return;
      layers[outer]?.waiting.delete(call);
      call.fail(new Error('given up'));
      call.giveUp(outer, new Error('given up'));
    }
    if (kind === 2) begun[choices.next(begun.length)]?.controller.abort(new Error('by its caller'));
    if (kind === 3) layers[choices.next(LAYERS)]?.letGo();
  };
  const layers = Array.from({ length: LAYERS }, () => new CheckedLayer(choices, disturb));
  const path: CallPath = {
    layers,
    givesUp: true,
    ended: (call, ending) => {
      endings.push(ending);
      live.delete(call);
    },
  };
  const action = (_signal: AbortSignal): Promise<string> | string => {
    const kind = choices.next(4);
    if (kind === 0) return 'at once';
    if (kind === 1) throw new Error('at once');
    if (kind === 2) begun.at(-1)?.controller.abort(new Error('by its action'));
    return new Promise((resolve) => actions.push(resolve));
  };
  const begin = (): void => {
    const one: CallUnderTest = { controller: new AbortController(), settled: 0 };
    begun.push(one);
    const settle = (): void => void one.settled++;
    callThrough(path, '', action, 0, { signal: one.controller.signal }).then(settle, settle);
  };
  for (let n = 0; n < 30; n++) {
    const kind = choices.next(6);
    if (kind <= 1) begin();
    else if (kind === 2) actions.shift()?.('done');
    else if (kind === 3) layers[choices.next(LAYERS)]?.letGo();
    else if (kind === 4) begun[choices.next(begun.length + 1)]?.controller.abort(new Error('left'));
    else for (const call of [...live].slice(0, 1)) disturb(call, LAYERS);
    if (choices.next(3) === 0) await Promise.resolve();
  }
  // What is left is given up by its callers.
  for (const { controller } of begun) controller.abort(new Error('the end'));
  for (let n = 0; n < 20; n++) await Promise.resolve();
  expect(layers.flatMap(({ breaches }) => breaches)).toEqual([]);
  expect(begun.map(({ settled }) => settled)).toEqual(begun.map(() => 1));
  expect(endings).toHaveLength(begun.length);
  expect(layers.map(({ inside }) => inside.size)).toEqual(layers.map(() => 0));
  return { calls: begun.length, endings };
}

describe('a call through layers that do anything', () => {
  it('enters and leaves each layer in turn, and ends once', async () => {
    const seen: Record<Ending, number> = { succeeded: 0, failed: 0, cancelled: 0 };
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(999), { minLength: 50, maxLength: 300 }), async (made) => {
        for (const ending of (await goThrough(made)).endings) seen[ending]++;
      }),
      { numRuns: 1_000 },
    );
    expect(Math.min(...Object.values(seen))).toBeGreaterThan(100);
  }, 60_000);
});
