// docs/resilience.md: its examples are run as they stand, and print what their comments say; its table of rules is that
// of the linter; the policies that it shows are accepted.

import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { transformWithOxc } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  DEFAULT_POLICIES,
  LINT_RULES,
  lintPolicy,
  readPolicyDocument,
} from '@datawarehouse/plugin-resilience';
import { ROOT, TestProcess } from '../support/processes.js';

/** Where the examples lie while they run: where the packages are found that they import. */
const FOLDER = join(ROOT, 'node_modules', `.dw-resilience-${process.pid}`);

const text = await readFile(join(ROOT, 'docs', 'resilience.md'), 'utf8');
const examples = [...text.matchAll(/(<!-- not run: [^>]+ -->\n\n)?```ts\n([\s\S]*?)```/g)]
  .filter(([, notRun]) => notRun === undefined)
  .map(([, , code], n) => ({ name: `example ${n + 1}`, code: code as string }));

function promised(code: string): readonly string[] {
  return [...code.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)].map((match) => match[1] as string);
}

beforeAll(() => mkdir(FOLDER, { recursive: true }));
afterAll(() => rm(FOLDER, { recursive: true, force: true }));

describe('the page on resilience', () => {
  it('has examples', () => {
    expect(examples.length).toBe(2);
    expect(examples.flatMap(({ code }) => promised(code)).length).toBeGreaterThanOrEqual(9);
  });

  it.each(examples)('$name prints what it says, in this order', async ({ name, code }) => {
    const file = join(FOLDER, `${name.replaceAll(' ', '-')}.ts`);
    const { code: javascript } = await transformWithOxc(code, file, {});
    await writeFile(`${file}.mjs`, javascript);
    const example = TestProcess.start(name, process.execPath, [`${file}.mjs`]);
    const { code: exit } = await example.exited;
    expect([exit, example.output.trim().split('\n')]).toEqual([0, promised(code)]);
  });

  it('lists every rule of the linter as it is, and no other', () => {
    const rows = LINT_RULES.map(
      ({ id, severity, rule, why }) => `| \`${id}\` | ${severity} | ${rule} | ${why} |`,
    );
    const section = text.slice(text.indexOf('| rule | is |'));
    const table = section.slice(0, section.indexOf('\n\n')).split('\n').slice(2);
    expect(table).toEqual(rows);
  });

  it('shows policies that are accepted without a warning, and names those that ship', () => {
    const documents = [...text.matchAll(/```json\n([\s\S]*?)```/g)].map((match) =>
      JSON.parse(match[1] as string),
    );
    expect(documents.length).toBe(1);
    for (const document of documents) expect(lintPolicy(readPolicyDocument(document))).toEqual([]);
    for (const { name } of DEFAULT_POLICIES) expect(text).toContain(`| \`${name}\` |`);
  });
});
