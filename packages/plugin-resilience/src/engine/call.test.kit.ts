// Layers that tests make, and calls through them.

import type { Action, Call, CallOptions, CallPath, Ending } from './call.js';
import { callThrough } from './call.js';
import type { Layer, Step } from './layer.js';

/** A layer that notes what it is asked, and answers what it is told to. */
export function recording(
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

/** A row of layers whose calls are given up by layers, too. @param endings Where their ends are noted. */
export function pathOf(layers: readonly Layer[], endings: Ending[] = []): CallPath {
  return { layers, givesUp: true, ended: (_call, ending) => void endings.push(ending) };
}

/** Makes a call through a row. */
export function run<T>(path: CallPath, action: Action<T>, options?: CallOptions): Promise<T> {
  return callThrough(path, '', action, 0, options);
}
