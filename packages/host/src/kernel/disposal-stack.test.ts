import { expect, test } from 'vitest';
import { FakeClock } from '@datawarehouse/sdk/testing';
import { DisposalStack } from './disposal-stack.js';

const run = <T>(fn: () => T): T => fn();

test('undoes latest first; one that throws keeps no other from being done', async () => {
  const stack = new DisposalStack();
  const done: string[] = [];
  stack.push('a', () => done.push('a'));
  stack.push('b', () => {
    throw new Error('b');
  });
  stack.push('c', async () => done.push('c'));
  const problems = await stack.disposeAll({ clock: new FakeClock(), timeoutMs: 10, run });
  expect(done).toEqual(['c', 'a']);
  expect(problems).toMatchObject([{ what: 'b', kind: 'failed' }]);
  expect(stack.size).toBe(0);
});

test('what was forgotten, also during disposal, is not undone, and what is added meanwhile is', async () => {
  const stack = new DisposalStack();
  const done: string[] = [];
  const a = stack.push('a', () => done.push('a'));
  stack.push('b', () => {
    a.forget();
    stack.push('c', () => done.push('c'));
  });
  stack.push('d', () => done.push('d')).forget();
  await stack.disposeAll({ clock: new FakeClock(), timeoutMs: 10, run });
  expect(done).toEqual(['c']);
});

test('a hundred that hang cost six deadlines, not a hundred, and the rest is still done', async () => {
  const clock = new FakeClock();
  const stack = new DisposalStack();
  let last = false;
  stack.push('last', () => void (last = true));
  for (let i = 0; i < 100; i++) stack.push(`hang ${i}`, () => new Promise(() => {}));
  const disposing = stack.disposeAll({ clock, timeoutMs: 10, run });
  await clock.advanceAsync(60);
  expect(await disposing).toHaveLength(100);
  expect(last).toBe(true);
  expect(clock.pendingTimers()).toEqual([]);
});
