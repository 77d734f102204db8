import { expect, test } from 'vitest';
import { ownerInStack } from './stack-blame.js';

const owners = [
  { id: 'a', directory: '/plugins/a' },
  { id: 'ab', directory: '/plugins/ab' },
];
const stack = (...frames: string[]): unknown => ({
  stack: `Error: at /plugins/a/x.js\n${frames.join('\n')}`,
});

test('the innermost frame that is anybody’s decides', () => {
  const frames = [
    '    at f (/host/x.js:1:1)',
    '    at g (/plugins/ab/x.js:1:1)',
    '    at h (file:///plugins/a/i.mjs?dw-load=1:1:1)',
  ];
  expect(ownerInStack(stack(...frames), owners)).toBe('ab');
  expect(ownerInStack(stack(...frames.reverse()), owners)).toBe('a');
});

test('a message that names a path, a directory that begins alike, and things without a stack tell nothing', () => {
  expect(ownerInStack(stack('    at f (/host/x.js:1:1)'), owners)).toBeUndefined();
  expect(ownerInStack(stack('    at f (/plugins/abc/x.js:1:1)'), owners)).toBeUndefined();
  for (const thrown of [null, undefined, 'text', 7, {}, { stack: 7 }])
    expect(ownerInStack(thrown, owners)).toBeUndefined();
  const hostile = {
    get stack(): string {
      throw new Error('no');
    },
  };
  expect(ownerInStack(hostile, owners)).toBeUndefined();
});
