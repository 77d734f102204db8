// Failures that nobody caught, of the whole process: each goes to the plugin in whose scope it arose. One that arose
// in no plugin's scope is fatal to every host of the process. The handlers are installed while a host runs, and
// removed with the last one.

import { currentScope, runAsHost } from './attribution.js';

/** Told of a failure that no plugin caused. */
export type FatalListener = (origin: string, error: unknown) => void;

const listeners = new Set<FatalListener>();

function handle(origin: string, error: unknown): void {
  // Inside these handlers Node restores the asynchronous context of the chain that failed.
  const scope = currentScope();
  if (scope !== undefined) {
    scope.onCrash(origin, error);
    return;
  }
  runAsHost(() => {
    for (const listener of listeners) listener(origin, error);
  });
}

function onException(error: unknown): void {
  handle('an uncaught exception', error);
}

function onRejection(error: unknown): void {
  handle('an unhandled rejection', error);
}

/** Hears of uncaught failures until the returned function is called. */
export function guardProcess(onFatal: FatalListener): () => void {
  if (listeners.size === 0) {
    process.on('uncaughtException', onException);
    process.on('unhandledRejection', onRejection);
  }
  listeners.add(onFatal);
  return () => {
    if (!listeners.delete(onFatal) || listeners.size > 0) return;
    process.off('uncaughtException', onException);
    process.off('unhandledRejection', onRejection);
  };
}
