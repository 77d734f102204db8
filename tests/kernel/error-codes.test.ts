// Every error of the kernel has a code, one thing to do, and a test that provokes it.

import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ROOT } from '../support/processes.js';

const KERNEL = join(ROOT, 'packages/host/src/kernel');
const TESTS = join(ROOT, 'tests/kernel');

async function textsOf(directory: string): Promise<string> {
  const names = (await readdir(directory)).filter(
    (name) => name.endsWith('.test.ts') && name !== 'error-codes.test.ts',
  );
  return (await Promise.all(names.map((name) => readFile(join(directory, name), 'utf8')))).join('\n');
}

test('each code of the kernel is provoked by a test, and each error has a hint', async () => {
  const source = await readFile(join(ROOT, 'packages/host/src/errors.ts'), 'utf8');
  const codes = [...source.matchAll(/code: '([a-z-]+)'/g)].map((match) => match[1] ?? '');
  expect(codes.length).toBeGreaterThan(30);
  expect(new Set(codes).size).toBe(codes.length);
  expect([...source.matchAll(/hint:/g)].length).toBeGreaterThanOrEqual(codes.length);
  const tests = (await textsOf(KERNEL)) + (await textsOf(TESTS));
  expect(codes.filter((code) => !tests.includes(code))).toEqual([]);
});
