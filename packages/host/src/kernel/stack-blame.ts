// Whose code a failure passed through, by its stack: the second way to find a culprit, for the few places where Node
// loses the asynchronous context (a callback of queueMicrotask that throws).

import { sep } from 'node:path';
import { pathToFileURL } from 'node:url';

const MAX_FRAMES = 100;

/** A plugin and the directory that its code is in. */
export interface CodeOwner {
  readonly id: string;
  readonly directory: string;
}

function framesOf(error: unknown): readonly string[] {
  try {
    const { stack } = error as { readonly stack?: unknown };
    if (typeof stack !== 'string') return [];
    // The message comes before the frames and may name any path.
    return stack
      .split('\n')
      .filter((line) => /^\s+at /.test(line))
      .slice(0, MAX_FRAMES);
  } catch {
    // Nothing has a stack if it is null, or if asking for it throws.
    return [];
  }
}

/** The owner of the innermost frame that is any owner's, or undefined. */
export function ownerInStack(error: unknown, owners: readonly CodeOwner[]): string | undefined {
  const places = owners.map(({ id, directory }) => ({
    id,
    path: directory + sep,
    url: `${pathToFileURL(directory).href}/`,
  }));
  for (const frame of framesOf(error)) {
    const owner = places.find(({ path, url }) => frame.includes(path) || frame.includes(url));
    if (owner !== undefined) return owner.id;
  }
  return undefined;
}
