import { expect, test } from 'vitest';
import { OperationQueue } from './operation-queue.js';

test('operations run one at a time, in order, and a failure is its caller’s alone', async () => {
  const queue = new OperationQueue();
  const seen: string[] = [];
  const step = (name: string, fails = false) =>
    queue.run(async () => {
      seen.push(`${name} begins`);
      await Promise.resolve();
      seen.push(`${name} ends`);
      if (fails) throw new Error(name);
      return name;
    });
  const results = await Promise.allSettled([step('a'), step('b', true), step('c')]);
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  expect(seen).toEqual(['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends']);
});

test('more than 64 are refused, until there is room again', async () => {
  const queue = new OperationQueue();
  let finish: () => void = () => {};
  const first = queue.run(() => new Promise<void>((resolve) => (finish = resolve)));
  const others = Array.from({ length: 63 }, () => queue.run(async () => {}));
  await expect(queue.run(async () => {})).rejects.toMatchObject({ code: 'kernel-busy', status: 429 });
  await Promise.resolve();
  finish();
  await Promise.all([first, ...others]);
  await queue.run(async () => {});
});
