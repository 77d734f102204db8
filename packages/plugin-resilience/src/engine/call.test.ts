// The engine alone: how a call goes through layers that tests make.

import { describe, expect, it } from 'vitest';
import type { Ending } from './call.js';
import { Call } from './call.js';
import { pathOf, recording, run } from './call.test.kit.js';

describe('a call', () => {
  it('goes in through the layers, outermost first, and its outcome comes out in reverse', async () => {
    const seen: string[] = [];
    const endings: Ending[] = [];
    const path = pathOf([recording('a', seen), recording('b', seen)], endings);
    await expect(run(path, async () => 'done')).resolves.toBe('done');
    expect(seen).toEqual(['a enter', 'b enter', 'b leave ok', 'a leave ok']);
    expect(endings).toEqual(['succeeded']);
  });

  it('takes a value that is no promise, and an error that is thrown at once', async () => {
    await expect(run(pathOf([]), () => 7)).resolves.toBe(7);
    const thrown = new Error('at once');
    await expect(
      run(pathOf([]), () => {
        throw thrown;
      }),
    ).rejects.toBe(thrown);
  });

  it('takes the first answer of a thenable that calls back at once, twice, and then throws', async () => {
    const thenable: PromiseLike<string> = {
      // oxlint-disable-next-line unicorn/no-thenable -- what is tested
      then: ((fulfilled: (value: string) => void, rejected: (error: unknown) => void) => {
        fulfilled('first');
        fulfilled('second');
        rejected(new Error('third'));
        throw new Error('fourth');
      }) as never,
    };
    const endings: Ending[] = [];
    const results = [1, 2].map(() => run(pathOf([], endings), () => thenable));
    await expect(Promise.all(results)).resolves.toEqual(['first', 'first']);
    expect(endings).toEqual(['succeeded', 'succeeded']);
    // Calls that come after it each hear of their own actions.
    const ends: (() => void)[] = [];
    const heard: number[] = [];
    for (const n of [1, 2, 3]) {
      void run(pathOf([]), () => new Promise<number>((resolve) => ends.push(() => resolve(n)))).then(
        (value) => heard.push(value),
      );
    }
    for (const end of ends) end();
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    expect(heard).toEqual([1, 2, 3]);
  });

  it('rejects with the very thing that was thrown, whatever it is', async () => {
    const thrown = await run(pathOf([]), () => Promise.reject(undefined as unknown as Error)).then(
      () => 'resolved',
      (error: unknown) => ({ error }),
    );
    expect(thrown).toEqual({ error: undefined });
  });

  it('goes no further in than a layer that answers for it, and that layer does not see it again', async () => {
    const seen: string[] = [];
    const path = pathOf([
      recording('a', seen),
      recording('b', seen, {
        enter: (call) => {
          call.succeed('answered');
          return 'out';
        },
      }),
      recording('c', seen),
    ]);
    await expect(run(path, () => 'never')).resolves.toBe('answered');
    expect(seen).toEqual(['a enter', 'b enter', 'a leave ok']);
  });

  it('goes in again when a layer says so on the way out', async () => {
    let attempts = 0;
    const seen: string[] = [];
    const path = pathOf([
      recording('retry', seen, { leave: (call) => (call.failed ? 'in' : 'out') }),
      recording('inner', seen),
    ]);
    const action = async (): Promise<number> => {
      if (++attempts < 3) throw new Error('not yet');
      return attempts;
    };
    await expect(run(path, action)).resolves.toBe(3);
    expect(seen.filter((line) => line === 'inner enter')).toHaveLength(3);
  });

  it('waits where a layer keeps it, and goes on from there', async () => {
    const kept: { call: Call; at: number }[] = [];
    const path = pathOf([
      recording('gate', [], {
        enter: (call, at) => {
          kept.push({ call, at });
          return 'wait';
        },
      }),
    ]);
    const result = run(path, () => 'in at last');
    expect(kept).toHaveLength(1);
    kept[0]?.call.goIn(kept[0].at);
    await expect(result).resolves.toBe('in at last');
  });

  it('fails with what a layer throws, and the layers further out are left', async () => {
    const seen: string[] = [];
    const path = pathOf([
      recording('a', seen),
      recording('b', seen, {
        enter: () => {
          throw new Error('a defect');
        },
      }),
    ]);
    await expect(run(path, () => 'never')).rejects.toThrow('a defect');
    expect(seen).toEqual(['a enter', 'b enter', 'a leave failed']);
    // And the engine goes on.
    await expect(run(pathOf([]), () => 'fine')).resolves.toBe('fine');
  });
});

describe('a fork', () => {
  it('runs what is inside of its layer on its own, and ends when it is given up', async () => {
    const seen: string[] = [];
    const outcomes: unknown[] = [];
    const path = pathOf([
      recording('hedge', seen, {
        enter: (call, at) => {
          const fork = call.fork(
            at,
            (ended) => {
              outcomes.push(ended.value);
              call.succeed(ended.value);
              call.goOut(at);
            },
            0,
          );
          // The layer starts it when the call waits.
          queueMicrotask(() => fork.start());
          return 'wait';
        },
      }),
      recording('inner', seen),
    ]);
    await expect(run(path, async () => 'forked')).resolves.toBe('forked');
    expect(outcomes).toEqual(['forked']);
    expect(seen).toEqual(['hedge enter', 'inner enter', 'inner leave ok']);
  });
});

describe('many calls that wait for one another', () => {
  it('go one after another without deepening the stack', async () => {
    const queue: { call: Call; at: number }[] = [];
    let busy = false;
    const one = recording('one', [], {
      enter: (call, at) => {
        if (!busy) {
          busy = true;
          return 'in';
        }
        queue.push({ call, at });
        return 'wait';
      },
      leave: () => {
        const next = queue.shift();
        if (next === undefined) busy = false;
        else next.call.goIn(next.at);
        return 'out';
      },
    });
    const path = pathOf([one]);
    // An action that answers at once lets the next one in while it is still on the stack.
    const results = Array.from({ length: 50_000 }, (_, n) => run(path, () => n));
    let held: (() => void) | undefined;
    busy = true;
    const first = run(path, () => new Promise<void>((resolve) => (held = resolve)));
    const rest = Array.from({ length: 50_000 }, (_, n) => run(path, () => n));
    const next = queue.shift();
    next?.call.goIn(next.at);
    held?.();
    await first;
    expect((await Promise.all(rest)).at(-1)).toBe(49_999);
    await Promise.all(results);
  });
});
