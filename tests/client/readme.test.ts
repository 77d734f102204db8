// The examples of the client's README, run as they stand against a cluster of real processes: each prints what its
// comments say.

import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { transformWithOxc } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestCluster } from '../support/cluster.js';
import { ROOT, TestProcess } from '../support/processes.js';

const README = join(ROOT, 'packages', 'client', 'README.md');
/** Where the examples lie while they run: where the packages are found that they import. */
const FOLDER = join(ROOT, 'node_modules', `.dw-examples-${process.pid}`);

const text = await readFile(README, 'utf8');
const examples = [...text.matchAll(/(<!-- not run: [^>]+ -->\n\n)?```ts\n([\s\S]*?)```/g)]
  .filter(([, notRun]) => notRun === undefined)
  .map(([, , code], n) => ({ name: `example ${n + 1}`, code: code as string }));

/** What an example is to print: the comments behind or under its calls of console.log. */
function promised(code: string): string[] {
  const behind = [...code.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)].map((match) => match[1] as string);
  const under = [...code.matchAll(/^\/\/ (orders\/.*)$/gm)].map((match) => match[1] as string);
  return [...under, ...behind];
}

let cluster: TestCluster;

beforeAll(async () => {
  cluster = await TestCluster.create({ proxied: false });
  await cluster.start();
  await mkdir(FOLDER, { recursive: true });
});

afterAll(async () => {
  await cluster.stop();
  await rm(FOLDER, { recursive: true, force: true });
});

describe('the README of the client', () => {
  it('has examples', () => {
    expect(examples.length).toBeGreaterThanOrEqual(6);
    expect(examples.flatMap(({ code }) => promised(code)).length).toBeGreaterThanOrEqual(6);
  });

  it.each(examples)('$name prints what it says', async ({ name, code }) => {
    const [first, second] = cluster.nodes.map(({ clientPort }) => `127.0.0.1:${clientPort}`);
    const here = code.replaceAll('127.0.0.1:7600', first ?? '').replaceAll('127.0.0.1:7601', second ?? '');
    const file = join(FOLDER, `${name.replaceAll(' ', '-')}.ts`);
    const { code: javascript } = await transformWithOxc(here, file, {});
    await writeFile(`${file}.mjs`, javascript);
    const example = TestProcess.start(name, process.execPath, [`${file}.mjs`]);
    const { code: exit } = await example.exited;
    expect(example.output).not.toContain('Error');
    expect(exit).toBe(0);
    const printed = example.output.trim().split('\n');
    for (const line of promised(code)) expect(printed).toContain(line);
  });
});
