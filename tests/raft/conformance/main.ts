// The command: runs every file below a folder, prints what differs, and counts.

import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { diffLines } from './diff.js';
import { rewritten } from './rewrite.js';
import { runFile, type Result } from './run-file.js';

/** Where the command finds its way, and where it prints. */
export interface Surroundings {
  /** Relative folders start here. */
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The root of this project. */
  readonly root: string;
  readonly print: (line: string) => void;
  readonly printError: (line: string) => void;
}

const usage = [
  'usage: npm run conformance -- [--rewrite] [DIR]',
  '',
  'Runs the data-driven files (*.txt) in DIR and below, or the one file DIR, against the Raft core. Without DIR: the',
  'folder that DW_CONFORMANCE_DIR names, or ../shared/conformance/etcd-raft beside this project.',
  '--rewrite writes what was printed into the files of DIR; read every line of it before you believe it.',
].join('\n');

/** The suites of etcd, which lie outside this project. */
export function defaultFolder(root: string, env: Surroundings['env']): string {
  const named = env['DW_CONFORMANCE_DIR'];
  const folder = named === undefined || named === '' ? join(root, '../shared/conformance') : resolve(named);
  return existsSync(join(folder, 'etcd-raft')) ? join(folder, 'etcd-raft') : folder;
}

/** All files of directives in a folder and below, by name; or the one file. */
export function filesOf(path: string): readonly string[] {
  if (statSync(path).isFile()) return [path];
  const entries = readdirSync(path, { withFileTypes: true });
  return entries
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const at = join(path, entry.name);
      if (entry.isDirectory()) return entry.name.startsWith('.') ? [] : filesOf(at);
      return entry.name.endsWith('.txt') ? [at] : [];
    });
}

/** What is printed of a directive that failed. */
export function describeFailure({ directive, expected, actual }: Result): string {
  const { file, line, text } = directive;
  const head = `${file}:${line}: ${text}`;
  return `${head}\n--- expected\n+++ got\n${diffLines(expected, actual)}\n`;
}

/** Runs the command; returns its exit status: 0 all passed, 1 some failed, 2 wrong usage. */
export async function main(args: readonly string[], where: Surroundings): Promise<number> {
  const rewrite = args.includes('--rewrite');
  const words = args.filter((arg) => arg !== '--rewrite');
  const wrong = words.find((word) => word.startsWith('-'));
  if (words.length > 1 || wrong !== undefined || (rewrite && words.length === 0)) {
    if (wrong === '--help' || wrong === '-h') {
      where.print(usage);
      return 0;
    }
    where.printError(usage);
    return 2;
  }
  const path = words[0] === undefined ? defaultFolder(where.root, where.env) : resolve(where.cwd, words[0]);
  const files = existsSync(path) ? filesOf(path) : [];
  if (files.length === 0) {
    where.printError(`there are no data-driven files (*.txt) in ${path}\n\n${usage}`);
    return 2;
  }
  return runFiles(path, files, rewrite, where);
}

async function runFiles(
  path: string,
  files: readonly string[],
  rewrite: boolean,
  where: Surroundings,
): Promise<number> {
  let passed = 0;
  let failed = 0;
  for (const file of files) {
    const text = readFileSync(file, 'utf8');
    const results = await runFile(relative(path, file) || path, text);
    const failures = results.filter((result) => !result.passed);
    for (const failure of failures) where.print(describeFailure(failure));
    passed += results.length - failures.length;
    failed += failures.length;
    if (rewrite && failures.length > 0) writeFileSync(file, rewritten(text, results));
  }
  where.print(`${passed + failed} directives, ${passed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}
