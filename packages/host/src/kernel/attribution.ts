// Who is to blame: code of a plugin runs inside its scope, which asynchronous calls carry along, so that a failure
// anywhere down the chain can be traced to the plugin that began it.

import { AsyncLocalStorage } from 'node:async_hooks';

/**
 * One life of one plugin in one host. It holds no reference to the plugin: pending promises and timers keep the
 * scope for as long as they live, and must not keep the plugin with it.
 */
export interface PluginScope {
  readonly pluginId: string;
  /** Told of a failure that arose in this scope and that nobody caught. */
  readonly onCrash: (where: string, error: unknown) => void;
}

const storage = new AsyncLocalStorage<PluginScope | undefined>();

/** Runs `fn`, and everything asynchronous that it starts, in a plugin's scope. */
export function runInScope<T>(scope: PluginScope, fn: () => T): T {
  return storage.run(scope, fn);
}

/** Runs `fn` in no plugin's scope: work of the host that a plugin's call merely set off. */
export function runAsHost<T>(fn: () => T): T {
  return storage.run(undefined, fn);
}

/** The plugin in whose scope the caller runs, if any. */
export function currentScope(): PluginScope | undefined {
  return storage.getStore();
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
