import { beforeEach, describe, expect, it, vi } from 'vitest';
import type * as Attribution from './attribution.js';

const scope = (pluginId: string, attribution: 'context' | 'stack'): Attribution.PluginScope => ({
  pluginId,
  attribution,
  onCrash: () => {},
});
const byStack = scope('by-stack', 'stack');
const byContext = scope('by-context', 'context');

/** Given a process that no plugin has come to yet. */
let fresh: typeof Attribution;
beforeEach(async () => {
  vi.resetModules();
  fresh = await import('./attribution.js');
});

/** The scope in a call of these scopes, one within the other, before and after it waits. */
async function seenIn(...scopes: readonly Attribution.PluginScope[]) {
  const seen: (string | undefined)[] = [];
  const look = (): void => void seen.push(fresh.currentScope()?.pluginId);
  const [outer, inner] = scopes;
  const work = async (): Promise<void> => {
    look();
    await Promise.resolve();
    look();
  };
  await fresh.runInScope(outer as Attribution.PluginScope, () =>
    inner === undefined ? work() : fresh.runInScope(inner, work),
  );
  return seen;
}

describe('the scope of a plugin', () => {
  it('goes along with what its code starts', async () => {
    expect(await seenIn(byContext)).toEqual(['by-context', 'by-context']);
  });

  it('ends with the call where no plugin wants more, so that promises cost no more than they do without', async () => {
    expect(await seenIn(byStack)).toEqual(['by-stack', undefined]);
  });

  it('goes along for all once one plugin wants it', async () => {
    await seenIn(byContext);
    expect(await seenIn(byStack)).toEqual(['by-stack', 'by-stack']);
  });

  it('is that of the innermost call, also when that is the first that wants it to go along', async () => {
    expect(await seenIn(byStack, byContext)).toEqual(['by-context', 'by-context']);
    expect(fresh.currentScope()).toBeUndefined();
  });

  it.each([byStack, byContext])('is left for work of the host, and entered again after it', (given) => {
    fresh.runInScope(given, () => {
      expect(fresh.runAsHost(() => fresh.currentScope())).toBeUndefined();
      expect(() =>
        fresh.runAsHost(() => {
          throw new Error('x');
        }),
      ).toThrow('x');
      expect(fresh.currentScope()).toBe(given);
    });
    expect(fresh.currentScope()).toBeUndefined();
  });
});
