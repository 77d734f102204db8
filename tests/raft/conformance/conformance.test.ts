// etcd's suites against our code, and our own scenarios: every directive of every file, output identical. And the command that runs such files: what it counts as failed, and what it says.

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { defaultFolder, describeFailure, filesOf, main } from './main.js';
import { runFile } from './run-file.js';

const root = resolve(import.meta.dirname, '../../..');
const suites = defaultFolder(root, process.env);
if (!existsSync(suites)) {
  throw new Error(`etcd's suites are not in ${suites}: set DW_CONFORMANCE_DIR to the folder of etcd-raft.`);
}
const scenarios = resolve(import.meta.dirname, '../scenarios');

/** Directives that upstream's files here hold, by folder. */
const directivesOf: Readonly<Record<string, number>> = {
  confchange: 58,
  interaction: 275,
  quorum: 127,
};

describe.each(Object.keys(directivesOf))('the %s suite of etcd', (suite) => {
  const files = filesOf(join(suites, suite));
  let directives = 0;

  it.each(files.map((file) => [basename(file), file]))('%s gives the same output', async (name, file) => {
    const results = await runFile(name, readFileSync(file, 'utf8'));
    const failures = results.filter((result) => !result.passed);
    expect(failures.map(describeFailure).join('\n')).toBe('');
    directives += results.length;
  });

  it('is there whole', () => {
    expect(directives).toBe(directivesOf[suite]);
  });
});

describe('the scenarios of our own', () => {
  const files = filesOf(scenarios);

  it.each(files.map((file) => [relative(scenarios, file), file]))('%s', async (name, file) => {
    const results = await runFile(name, readFileSync(file, 'utf8'));
    expect(
      results
        .filter((result) => !result.passed)
        .map(describeFailure)
        .join('\n'),
    ).toBe('');
  });

  it('are at least thirty, each with a name', () => {
    const names = files.flatMap((file) => scenarioNames(readFileSync(file, 'utf8')));
    expect(new Set(names).size).toBe(names.length);
    expect(names.length).toBeGreaterThanOrEqual(30);
  });
});

function scenarioNames(text: string): readonly string[] {
  return [...text.matchAll(/^scenario (.+)$/gm)].map((match) => match[1] as string);
}

describe('the conformance command', () => {
  let folder: string;
  let printed: string[];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'dw-conformance-'));
    printed = [];
  });

  afterEach(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  function write(name: string, text: string): string {
    const file = join(folder, name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    return file;
  }

  function run(...args: string[]): Promise<number> {
    const print = (line: string): void => {
      printed.push(line);
    };
    return main(args, { cwd: folder, env: {}, root: folder, print, printError: print });
  }

  it('counts what passed, in folders within folders, whatever the suite', async () => {
    write('a/interaction.txt', 'log-level none\n----\nok\n');
    write('b/c/quorum.txt', 'vote cfg=(1) votes=(y)\n----\nVoteWon\n');
    write('b/confchange.txt', 'simple\nv1\n----\nvoters=(1)\n1: StateProbe match=0 next=1\n');
    write('b/README.md', 'not a file of directives');
    expect(await run('.')).toBe(0);
    expect(printed).toEqual(['3 directives, 3 passed, 0 failed']);
  });

  it('shows file, line, command, and what differs', async () => {
    write(
      'x.txt',
      '# a comment\nadd-nodes 1 voters=(1) index=2\n----\nok\n\nraft-state\n----\n1: Nonsense\n',
    );
    expect(await run('.')).toBe(1);
    expect(printed[0]).toBe(
      'x.txt:6: raft-state\n--- expected\n+++ got\n' +
        '- 1: Nonsense\n+ 1: StateFollower (Voter) Term:0 Lead:0\n',
    );
    expect(printed.at(-1)).toBe('2 directives, 1 passed, 1 failed');
  });

  it.each([
    ['an unknown command', 'no-such-command 1\n----\nok\n', 'unknown command: no-such-command'],
    ['an unknown option', 'add-nodes 1 colour=red\n----\nok\n', 'unknown option of add-nodes: colour'],
    ['a node that is not there', 'campaign 7\n----\nok\n', 'there is no node 7'],
    ['a fence that is not closed', 'raft-state\n----\n----\nok\n', 'not closed'],
    ['a line that cannot be read', 'add-nodes 1 voters=(1\n----\nok\n', 'cannot be read'],
  ])('counts %s as failed, and goes on', async (_what, text, why) => {
    write('x.txt', `${text}\nlog-level none\n----\nok\n`);
    expect(await run('x.txt')).toBe(1);
    expect(printed.join('\n')).toContain(why);
    expect(printed.at(-1)).toMatch(/ directives?, [01] passed, 1 failed$/);
  });

  it('counts a directive without expected output as failed', async () => {
    write('x.txt', 'raft-state\n');
    expect(await run('.')).toBe(1);
    expect(printed[0]).toContain('no ---- follows the command');
  });

  it('fails a directive that is not understood even where just that is expected', async () => {
    write('x.txt', 'no-such-command\n----\nunknown command: no-such-command\n');
    expect(await run('.')).toBe(1);
  });

  it('leaves out what a logger wrote, on both sides', async () => {
    write('x.txt', 'log-level info\n----\nINFO whatever\n  DEBUG and more\n\ncampaign 1\n----\nok\n');
    await run('.');
    expect(printed.at(-1)).toBe('2 directives, 1 passed, 1 failed');
  });

  it('writes what was printed, where it is told to, and changes nothing else', async () => {
    const file = write(
      'x.txt',
      [
        '# kept',
        'log-level none',
        '----',
        'wrong',
        '# a comment that stands in the output is part of it',
        '',
        'log-level info',
        '----',
        'INFO kept, for it is a logger that wrote it',
        '',
        'add-nodes 1 voters=(1) \\',
        '  index=2',
        '----',
        '----',
        'wrong',
        '',
        'and blank',
        '----',
        '----',
        '',
        'raft-state',
        '----',
      ].join('\n'),
    );
    expect(await run('--rewrite', '.')).toBe(1);
    expect(readFileSync(file, 'utf8').split('\n')).toEqual([
      '# kept',
      'log-level none',
      '----',
      'ok',
      '',
      'log-level info',
      '----',
      'INFO kept, for it is a logger that wrote it',
      '',
      'add-nodes 1 voters=(1) \\',
      '  index=2',
      '----',
      'ok',
      '',
      'raft-state',
      '----',
      '1: StateFollower (Voter) Term:0 Lead:0',
    ]);
    printed = [];
    expect(await run('.')).toBe(0);
    expect(printed).toEqual(['4 directives, 4 passed, 0 failed']);
  });

  it.each([[['--nonsense']], [['a', 'b']], [['no-such-folder']], [['--rewrite']]])(
    'takes %j for wrong usage',
    async (args) => {
      expect(await run(...args)).toBe(2);
      expect(printed.join('\n')).toContain('usage: npm run conformance');
    },
  );
});
