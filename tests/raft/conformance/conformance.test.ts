// etcd's suites against our code: every directive of every file, output identical. And the command that runs such files: what it counts as failed, and what it says.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { defaultFolder, describeFailure, filesOf, main } from './main.js';
import { runFile } from './run-file.js';

const root = resolve(import.meta.dirname, '../../..');
const suites = defaultFolder(root, process.env);

/** Directives that upstream's files here hold, by folder. */
const directivesOf: Readonly<Record<string, number>> = {
  confchange: 58,
  interaction: 275,
  quorum: 127,
};

describe.each(Object.keys(directivesOf))('the %s suite of etcd', (suite) => {
  const files = filesOf(join(suites, suite));
  let directives = 0;

  it.each(files.map((file) => [basename(file), file]))('%s gives the same output', (name, file) => {
    const results = runFile(name, readFileSync(file, 'utf8'));
    const failures = results.filter((result) => !result.passed);
    expect(failures.map(describeFailure).join('\n')).toBe('');
    directives += results.length;
  });

  it('is there whole', () => {
    expect(directives).toBe(directivesOf[suite]);
  });
});

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

  function run(...args: string[]): number {
    const print = (line: string): void => {
      printed.push(line);
    };
    return main(args, { cwd: folder, env: {}, root: folder, print, printError: print });
  }

  it('counts what passed, in folders within folders, whatever the suite', () => {
    write('a/interaction.txt', 'log-level none\n----\nok\n');
    write('b/c/quorum.txt', 'vote cfg=(1) votes=(y)\n----\nVoteWon\n');
    write('b/confchange.txt', 'simple\nv1\n----\nvoters=(1)\n1: StateProbe match=0 next=1\n');
    write('b/README.md', 'not a file of directives');
    expect(run('.')).toBe(0);
    expect(printed).toEqual(['3 directives, 3 passed, 0 failed']);
  });

  it('shows file, line, command, and what differs', () => {
    write(
      'x.txt',
      '# a comment\nadd-nodes 1 voters=(1) index=2\n----\nok\n\nraft-state\n----\n1: Nonsense\n',
    );
    expect(run('.')).toBe(1);
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
  ])('counts %s as failed, and goes on', (_what, text, why) => {
    write('x.txt', `${text}\nlog-level none\n----\nok\n`);
    expect(run('x.txt')).toBe(1);
    expect(printed.join('\n')).toContain(why);
    expect(printed.at(-1)).toMatch(/ directives?, [01] passed, 1 failed$/);
  });

  it('counts a directive without expected output as failed', () => {
    write('x.txt', 'raft-state\n');
    expect(run('.')).toBe(1);
    expect(printed[0]).toContain('no ---- follows the command');
  });

  it('fails a directive that is not understood even where just that is expected', () => {
    write('x.txt', 'no-such-command\n----\nunknown command: no-such-command\n');
    expect(run('.')).toBe(1);
  });

  it('leaves out what a logger wrote, on both sides', () => {
    write('x.txt', 'log-level info\n----\nINFO whatever\n  DEBUG and more\n\ncampaign 1\n----\nok\n');
    run('.');
    expect(printed.at(-1)).toBe('2 directives, 1 passed, 1 failed');
  });

  it('writes what was printed, where it is told to, and changes nothing else', () => {
    const file = write('x.txt', '# kept\nlog-level none\n----\nwrong\n\nvote\n\n----\nwrong\n# end\n');
    expect(run('--rewrite', '.')).toBe(1);
    expect(readFileSync(file, 'utf8')).toMatch(/^# kept\nlog-level none\n----\nok\n\nvote\n/);
  });

  it.each([[['--nonsense']], [['a', 'b']], [['no-such-folder']], [['--rewrite']]])(
    'takes %j for wrong usage',
    (args) => {
      expect(run(...args)).toBe(2);
      expect(printed.join('\n')).toContain('usage: npm run conformance');
    },
  );
});
