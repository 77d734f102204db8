// Who is to blame: code of a plugin runs inside its scope, which asynchronous calls carry along, so that a failure
// anywhere down the chain can be traced to the plugin that began it.
//
// Carrying it along is not free: Node.js 20 calls a hook for each promise, a seventh of what a durable write costs. So
// there are no asynchronous contexts until a plugin comes that wants them; a scope then ends when its call returns, and
// what fails later is traced by its stack (stack-blame.ts).

import { AsyncLocalStorage } from 'node:async_hooks';

/**
 * One life of one plugin in one host. It holds no reference to the plugin: pending promises and timers keep the
 * scope for as long as they live, and must not keep the plugin with it.
 */
export interface PluginScope {
  readonly pluginId: string;
  /** As its manifest says; see there. */
  readonly attribution: 'context' | 'stack';
  /** Told of a failure that arose in this scope and that nobody caught. */
  readonly onCrash: (where: string, error: unknown) => void;
}

const storage = new AsyncLocalStorage<PluginScope | undefined>();
/** Whether asynchronous calls carry scopes along. Once they do they always do. */
let carried = false;
/** The scope of the call that runs now, while none are carried along. */
let current: PluginScope | undefined;

/** Runs `fn`, and everything asynchronous that it starts if any plugin wants that, in a plugin's scope. */
export function runInScope<T>(scope: PluginScope, fn: () => T): T {
  if (scope.attribution === 'context') carried = true;
  return enter(scope, fn);
}

/** Runs `fn` in no plugin's scope: work of the host that a plugin's call merely set off. */
export function runAsHost<T>(fn: () => T): T {
  return enter(undefined, fn);
}

/** The plugin in whose scope the caller runs, if any. */
export function currentScope(): PluginScope | undefined {
  return carried ? storage.getStore() : current;
}

function enter<T>(scope: PluginScope | undefined, fn: () => T): T {
  if (carried) return storage.run(scope, fn);
  const outer = current;
  current = scope;
  try {
    return fn();
  } finally {
    current = outer;
  }
}

/** Errors that left the scope they were thrown in, with the plugin that threw them. */
const blame = new WeakMap<object, PluginScope>();

/** Notes that `scope`'s plugin threw `error`, for an error that is about to leave its scope. The first note stands. */
export function blameFor(error: unknown, scope: PluginScope): void {
  if (typeof error === 'object' && error !== null && !blame.has(error)) blame.set(error, scope);
}

/** The plugin that is known to have thrown `error`. */
export function blamedFor(error: unknown): PluginScope | undefined {
  return typeof error === 'object' && error !== null ? blame.get(error) : undefined;
}
