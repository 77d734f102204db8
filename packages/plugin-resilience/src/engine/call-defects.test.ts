// The engine alone: defects of layers and observers, which must not keep other calls from going on.

import { afterEach, describe, expect, it, vi } from 'vitest';
import type { CallPath } from './call.js';
import { Call } from './call.js';
import { pathOf, recording, run } from './call.test.kit.js';

afterEach(() => void vi.unstubAllGlobals());

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
