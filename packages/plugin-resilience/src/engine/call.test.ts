// The engine alone: calls through layers that tests make.

import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Action, CallOptions, CallPath, Ending } from './call.js';
import { Call, callThrough } from './call.js';
import type { Layer, Step } from './layer.js';

/** A layer that notes what it is asked, and answers what it is told to. */
function recording(
  name: string,
  seen: string[],
  behaviour: Partial<Pick<Layer, 'enter' | 'leave' | 'abandon'>> = {},
): Layer {
  return {
    type: 'chaos',
    enter(call: Call, at: number): Step {
      seen.push(`${name} enter`);
      return behaviour.enter?.(call, at) ?? 'in';
    },
    leave(call: Call, at: number): Step {
      seen.push(`${name} leave ${call.failed ? 'failed' : 'ok'}`);
      return behaviour.leave?.(call, at) ?? 'out';
    },
    abandon(call: Call, at: number): void {
      seen.push(`${name} abandon`);
      behaviour.abandon?.(call, at);
    },
    idle: () => true,
  };
}

function pathOf(layers: readonly Layer[], endings: Ending[] = []): CallPath {
  return { layers, givesUp: true, ended: (_call, ending) => void endings.push(ending) };
}

function run<T>(path: CallPath, action: Action<T>, options?: CallOptions): Promise<T> {
  return callThrough(path, '', action, 0, options);
}

afterEach(() => void vi.unstubAllGlobals());

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

describe('a defect of our own', () => {
  /** What is thrown in turns of their own. */
  function thrownLater(): unknown[] {
    const thrown: unknown[] = [];
    vi.stubGlobal('queueMicrotask', (task: () => void) => {
      void Promise.resolve()
        .then(task)
        .catch((error: unknown) => thrown.push(error));
    });
    return thrown;
  }

  it('in letting go of a layer keeps neither the others nor other calls from being let go of', async () => {
    const thrown = thrownLater();
    const seen: string[] = [];
    const defect = new Error('a defect');
    const inner = recording('inner', seen, {
      abandon: () => {
        throw defect;
      },
    });
    const controller = new AbortController();
    const path = pathOf([recording('outer', seen), inner]);
    const results = [1, 2].map(() =>
      run(path, () => new Promise(() => {}), { signal: controller.signal }).catch((error: unknown) => error),
    );
    const reason = new Error('gone');
    controller.abort(reason);
    expect(await Promise.all(results)).toEqual([reason, reason]);
    expect(seen.filter((line) => line === 'outer abandon')).toHaveLength(2);
    await new Promise((resolve) => setImmediate(resolve));
    expect(thrown).toEqual([defect, defect]);
  });

  it('in letting go of a call that is given up while it goes in does not keep those after it from going on', async () => {
    const thrown = thrownLater();
    const defect = new Error('a defect');
    const caller = new AbortController();
    const waiting: { call: Call; at: number }[] = [];
    const gate = recording('gate', [], {
      enter: (call, at) => {
        waiting.push({ call, at });
        return 'wait';
      },
      leave: () => {
        for (const { call, at } of waiting.splice(0)) call.goIn(at);
        return 'out';
      },
    });
    const inner = recording('inner', [], {
      enter: () => {
        caller.abort(new Error('gone'));
        return 'in';
      },
      abandon: () => {
        throw defect;
      },
    });
    const path = pathOf([gate, inner]);
    const given = run(path, () => 1, { signal: caller.signal }).catch((error: Error) => error.message);
    const next = run(pathOf([gate]), () => 2);
    const first = run(pathOf([gate]), () => 3);
    const opener = waiting.pop();
    opener?.call.goIn(opener.at);
    expect(await Promise.all([first, given, next])).toEqual([3, 'gone', 2]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(thrown).toEqual([defect]);
  });

  it('in hearing of the end keeps neither this call nor the next from ending', async () => {
    const thrown = thrownLater();
    const defect = new Error('a defect');
    const waiting: { call: Call; at: number }[] = [];
    const gate = recording('gate', [], {
      enter: (call, at) => {
        waiting.push({ call, at });
        return 'wait';
      },
    });
    const path: CallPath = {
      ...pathOf([gate]),
      ended: () => {
        throw defect;
      },
    };
    const results = [1, 2].map((n) => run(path, () => n));
    for (const { call, at } of waiting) call.goIn(at);
    expect(await Promise.all(results)).toEqual([1, 2]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(thrown).toEqual([defect, defect]);
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
