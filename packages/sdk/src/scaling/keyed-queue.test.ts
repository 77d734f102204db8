import { describe, expect, it } from 'vitest';
import { settle } from '../testing/fake-clock.js';
import { KeyedQueue } from './keyed-queue.js';

describe('KeyedQueue', () => {
  it('runs actions of one key one after another, and those of others beside them', async () => {
    const queue = new KeyedQueue<string>();
    const started: string[] = [];
    const ends: (() => void)[] = [];
    const action = (name: string) => (): Promise<string> => {
      started.push(name);
      return new Promise((resolve) => ends.push(() => resolve(name)));
    };
    const all = [queue.run('k', action('k1')), queue.run('k', action('k2')), queue.run('o', action('o1'))];
    await settle();
    expect(started).toEqual(['k1', 'o1']);
    expect(queue.size).toBe(3);
    ends[0]?.();
    await settle();
    expect(started).toEqual(['k1', 'o1', 'k2']);
    for (const end of ends) end();
    expect(await Promise.all(all)).toEqual(['k1', 'k2', 'o1']);
    expect(queue.size).toBe(0);
  });

  it('goes on after a failure, which its own caller hears of', async () => {
    const queue = new KeyedQueue<string>();
    const failing = queue.run('k', () => Promise.reject(new Error('no')));
    const next = queue.run('k', () => Promise.resolve(1));
    await expect(failing).rejects.toThrow('no');
    expect(await next).toBe(1);
    await queue.settled();
  });
});
