// The engine alone: calls that are given up, by their callers, their layers and their own actions.

import { describe, expect, it } from 'vitest';
import type { Ending } from './call.js';
import { Call } from './call.js';
import { pathOf, recording, run } from './call.test.kit.js';

describe('giving a call up', () => {
  it('rejects at once with the reason, lets go of every layer from the inside, and is no failure', async () => {
    const seen: string[] = [];
    const endings: Ending[] = [];
    const controller = new AbortController();
    const path = pathOf([recording('a', seen), recording('b', seen)], endings);
    const result = run(path, () => new Promise(() => {}), { signal: controller.signal });
    controller.abort(new Error('not wanted'));
    await expect(result).rejects.toThrow('not wanted');
    expect(seen).toEqual(['a enter', 'b enter', 'b abandon', 'a abandon']);
    expect(endings).toEqual(['cancelled']);
  });

  it('tells the action by its signal before anybody takes its place', async () => {
    const order: string[] = [];
    const controller = new AbortController();
    const waiting: { call: Call; at: number }[] = [];
    let inside = 0;
    const gate = recording('gate', [], {
      enter: (call, at) => {
        if (inside++ === 0) return 'in';
        waiting.push({ call, at });
        return 'wait';
      },
      abandon: () => {
        const next = waiting.shift();
        next?.call.goIn(next.at);
      },
    });
    const path = pathOf([gate]);
    const first = run(
      path,
      async (signal) => {
        try {
          await new Promise((_resolve, reject) => {
            signal.addEventListener('abort', () => reject(signal.reason as Error));
          });
        } finally {
          order.push('first has unwound');
        }
      },
      { signal: controller.signal },
    );
    const second = run(path, () => {
      order.push('second begins');
    });
    controller.abort(new Error('not wanted'));
    await expect(first).rejects.toThrow('not wanted');
    await second;
    expect(order).toEqual(['first has unwound', 'second begins']);
  });

  it('before it began calls nothing', async () => {
    let called = false;
    const signal = AbortSignal.abort(new Error('too late'));
    await expect(
      run(
        pathOf([]),
        () => {
          called = true;
        },
        { signal },
      ),
    ).rejects.toThrow('too late');
    expect(called).toBe(false);
  });

  it('while a layer keeps it lets go of that layer, which then cannot let it go on', async () => {
    const seen: string[] = [];
    const controller = new AbortController();
    let letIn: (() => void) | undefined;
    const path = pathOf([
      recording('gate', seen, {
        enter: (call, at) => {
          letIn = () => call.goIn(at);
          return 'wait';
        },
      }),
    ]);
    let called = false;
    const result = run(
      path,
      () => {
        called = true;
      },
      { signal: controller.signal },
    );
    controller.abort(new Error('gone'));
    letIn?.();
    await expect(result).rejects.toThrow('gone');
    expect(seen).toEqual(['gate enter', 'gate abandon']);
    expect(called).toBe(false);
  });

  it('from a layer leaves what is further in, and goes out from there', async () => {
    const seen: string[] = [];
    let giveUp: (() => void) | undefined;
    const path = pathOf([
      recording('outer', seen),
      recording('timeout', seen, {
        enter: (call, at) => {
          giveUp = () => {
            call.fail(new Error('took too long'));
            call.giveUp(at, new Error('took too long'));
          };
          return 'in';
        },
      }),
      recording('inner', seen),
    ]);
    const aborted: unknown[] = [];
    const result = run(path, (signal) => {
      signal.addEventListener('abort', () => aborted.push(signal.reason));
      return new Promise(() => {});
    });
    giveUp?.();
    await expect(result).rejects.toThrow('took too long');
    expect(seen).toEqual([
      'outer enter',
      'timeout enter',
      'inner enter',
      'inner abandon',
      'outer leave failed',
    ]);
    expect(aborted).toHaveLength(1);
  });

  it('ends it once though its action, when it is told, gives the whole call up', async () => {
    const seen: string[] = [];
    const endings: Ending[] = [];
    let giveUp: (() => void) | undefined;
    const timeout = recording('timeout', seen, {
      enter: (call, at) => {
        giveUp = () => {
          call.fail(new Error('took too long'));
          call.giveUp(at, new Error('took too long'));
        };
        return 'in';
      },
    });
    const caller = new AbortController();
    const result = run(
      pathOf([recording('outer', seen), timeout, recording('inner', seen)], endings),
      (signal) => {
        signal.addEventListener('abort', () => caller.abort(new Error('gone')));
        return new Promise(() => {});
      },
      { signal: caller.signal },
    );
    giveUp?.();
    await expect(result).rejects.toThrow('gone');
    expect(endings).toEqual(['cancelled']);
    expect(seen.slice(3)).toEqual(['inner abandon', 'timeout abandon', 'outer abandon']);
  });

  it('of an attempt makes what becomes of it nobody’s affair', async () => {
    const finishers: ((value: string) => void)[] = [];
    let giveUp: (() => void) | undefined;
    const endings: Ending[] = [];
    const path = pathOf(
      [
        recording('retry', [], { leave: (call) => (call.failed ? 'in' : 'out') }),
        recording('timeout', [], {
          enter: (call, at) => {
            giveUp = () => {
              call.fail(new Error('took too long'));
              call.giveUp(at, 'too long');
            };
            return 'in';
          },
        }),
      ],
      endings,
    );
    const result = run(path, () => new Promise<string>((resolve) => finishers.push(resolve)));
    giveUp?.();
    expect(finishers).toHaveLength(2);
    finishers[0]?.('late');
    await Promise.resolve();
    finishers[1]?.('the one that counts');
    await expect(result).resolves.toBe('the one that counts');
    expect(endings).toEqual(['succeeded']);
  });

  it('leaves who hears of its action to no other call, however late the action ends', async () => {
    const controller = new AbortController();
    let endLate: ((value: string) => void) | undefined;
    const givenUp = run(pathOf([]), () => new Promise<string>((resolve) => (endLate = resolve)), {
      signal: controller.signal,
    });
    controller.abort(new Error('gone'));
    await expect(givenUp).rejects.toThrow('gone');
    const enders: ((value: string) => void)[] = [];
    const others = Array.from({ length: 3 }, () =>
      run(pathOf([]), () => new Promise<string>((resolve) => enders.push(resolve))),
    );
    endLate?.('late');
    await Promise.resolve();
    for (const [n, end] of enders.entries()) end(`other ${n}`);
    await expect(Promise.all(others)).resolves.toEqual(['other 0', 'other 1', 'other 2']);
  });

  it('by its own action hears of the action’s failure, so that nobody is told of an unhandled one', async () => {
    const controller = new AbortController();
    const unhandled: unknown[] = [];
    const listener = (reason: unknown): void => void unhandled.push(reason);
    process.on('unhandledRejection', listener);
    const result = run(
      pathOf([]),
      () => {
        controller.abort(new Error('by itself'));
        return Promise.reject(new Error('nobody hears'));
      },
      { signal: controller.signal },
    );
    await expect(result).rejects.toThrow('by itself');
    await new Promise((resolve) => setImmediate(resolve));
    process.off('unhandledRejection', listener);
    expect(unhandled).toEqual([]);
  });

  it('reaches all calls of one signal, and leaves one listener on it', async () => {
    const controller = new AbortController();
    let listeners = 0;
    const { signal } = controller;
    const add = signal.addEventListener.bind(signal);
    signal.addEventListener = (...given: Parameters<typeof add>) => {
      listeners++;
      add(...given);
    };
    for (let n = 0; n < 100; n++) await run(pathOf([]), () => n, { signal });
    const pending = [1, 2, 3].map(() => run(pathOf([]), () => new Promise(() => {}), { signal }));
    controller.abort(new Error('all of them'));
    const results = await Promise.allSettled(pending);
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
    expect(listeners).toBe(1);
  });
});
