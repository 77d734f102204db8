import { expect, test } from 'vitest';
import { readHealth } from './health-reading.js';

test('an answer is copied, and cut to a sane size', () => {
  const data = { groups: 3 };
  const read = readHealth({ status: 'degraded', message: 'x'.repeat(600), data, more: 1 });
  expect(read).toEqual({ status: 'degraded', message: 'x'.repeat(500), data: { groups: 3 } });
  expect(read.data).not.toBe(data);
  expect(readHealth({ status: 'healthy', data: { big: 'x'.repeat(20_000) } }).data).toEqual({
    truncated: true,
  });
  expect(readHealth({ status: 'healthy', message: 7 })).toEqual({ status: 'healthy' });
});

const cycle: Record<string, unknown> = {};
cycle['self'] = cycle;

test.each([undefined, null, 'healthy', {}, { status: 'fine' }, { status: 'healthy', data: cycle }])(
  'the answer %o is unhealthy',
  (answer) => {
    expect(readHealth(answer)).toMatchObject({ status: 'unhealthy' });
  },
);
