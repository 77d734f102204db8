// Failures that nobody caught, of the whole process: each goes to the plugin in whose scope it arose, or whose code
// its stack shows. One that belongs to no plugin is fatal to every host of the process. The handlers are installed
// while a host runs, and removed with the last one.

import { blamedFor, currentScope, runAsHost } from './attribution.js';

/** What a host does about failures that nobody caught. */
export interface ProcessListener {
  /** Takes a failure that has lost its scope, if the host can tell by its stack whose it is. */
  readonly claim: (origin: string, error: unknown) => boolean;
  /** Told of a failure that no plugin of any host caused. */
  readonly onFatal: (origin: string, error: unknown) => void;
}

const listeners = new Set<ProcessListener>();

function handle(origin: string, error: unknown): void {
  // Inside these handlers Node restores the asynchronous context of the chain that failed.
  const scope = blamedFor(error) ?? currentScope();
  if (scope !== undefined) {
    scope.onCrash(origin, error);
    return;
  }
  runAsHost(() => {
    const all = [...listeners];
    if (all.some((listener) => listener.claim(origin, error))) return;
    for (const listener of all) listener.onFatal(origin, error);
  });
}

function onException(error: unknown): void {
  handle('an uncaught exception', error);
}

function onRejection(error: unknown): void {
  handle('an unhandled rejection', error);
}

/** Hears of uncaught failures until the returned function is called. */
export function guardProcess(listener: ProcessListener): () => void {
  if (listeners.size === 0) {
    process.on('uncaughtException', onException);
    process.on('unhandledRejection', onRejection);
  }
  listeners.add(listener);
  return () => {
    if (!listeners.delete(listener) || listeners.size > 0) return;
    process.off('uncaughtException', onException);
    process.off('unhandledRejection', onRejection);
  };
}
