// Elsewhere: a smaller queue, or a limit that is replaced, throws out calls that were told to wait.

import { expect, it } from 'vitest';
import { POLICY, policyOf } from './regressions.test.kit.js';

it('an accepted queued call rejected later', async () => {
  // given one call inside and three that wait
  const { clock, service, set } = policyOf({ type: 'bulkhead', concurrency: 1, queue: 3 });
  const ends: (() => void)[] = [];
  const call = (name: string): Promise<string> =>
    service.execute(POLICY, () => new Promise<string>((resolve) => ends.push(() => resolve(name))));
  const results = ['first', 'second', 'third', 'fourth'].map(call);
  // when the queue is taken away
  set({ type: 'bulkhead', concurrency: 1, queue: 0 });
  await clock.advanceAsync(10);
  // then newcomers are turned away, and each of those that wait gets its turn, in order
  await expect(call('late')).rejects.toMatchObject({ code: 'bulkhead-full' });
  for (let n = 0; n < 4; n++) {
    expect(ends).toHaveLength(n + 1);
    ends[n]?.();
    await clock.advanceAsync(1);
  }
  expect(await Promise.all(results)).toEqual(['first', 'second', 'third', 'fourth']);
});
