// Elsewhere: a policy has one breaker, and one dependency that is down stops the calls to all others.

import { expect, it } from 'vitest';
import { POLICY, failing, failureOf, hangs, policyOf } from './regressions.test.kit.js';

it('one breaker for all callers', async () => {
  // given a policy of breaker and bulkhead for many dependencies
  const { service } = policyOf(
    { type: 'circuit-breaker', window: { kind: 'consecutive', failures: 2 }, breakMs: 60_000 },
    { type: 'bulkhead', concurrency: 1 },
  );
  // when one fails and another hangs
  for (let n = 0; n < 2; n++)
    await failureOf(service.execute(POLICY, failing(new Error('down')), { key: 'ill' }));
  const controller = new AbortController();
  const hanging = failureOf(service.execute(POLICY, hangs, { key: 'slow', signal: controller.signal }));
  // then each is turned away for itself, and the others go on
  const code = async (key: string): Promise<unknown> => {
    const outcome = service.execute(POLICY, () => ({ code: 'through' }), { key });
    return ((await outcome.catch((error: unknown) => error)) as { code: string }).code;
  };
  expect(await code('ill')).toBe('circuit-open');
  expect(await code('slow')).toBe('bulkhead-full');
  expect(await code('well')).toBe('through');
  expect(await code('')).toBe('through');
  // An operator sees which one it is.
  const open = service
    .show(POLICY)
    .keys.filter(({ layers }) => layers.some(({ state }) => state?.['state'] === 'open'));
  expect(open.map(({ key }) => key)).toEqual(['ill']);
  controller.abort('over');
  await hanging;
});
