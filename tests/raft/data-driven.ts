// Reads the data-driven test files of etcd's Raft: a command line with arguments, perhaps input lines, `----`, and the
// output that is expected. The files lie outside this project and are read where they are.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** One command of a file, with the output that it must give. */
export interface Directive {
  /** File and line, for messages. */
  readonly at: string;
  readonly command: string;
  /** `key=(a,b)` and `key=a` as key and values; a bare word as key without values. In order of appearance. */
  readonly args: ReadonlyMap<string, readonly string[]>;
  readonly input: readonly string[];
  /** Without the line break at its end. */
  readonly expected: string;
}

/** Where a suite lies: beside this project, or where DW_CONFORMANCE_DIR says. */
export function conformanceFolder(suite: string): string {
  const root =
    process.env['DW_CONFORMANCE_DIR'] ?? resolve(import.meta.dirname, '../../../shared/conformance');
  const folder = join(root, 'etcd-raft', suite);
  if (existsSync(folder)) return folder;
  throw new Error(
    `The conformance suite ${folder} is not there: set DW_CONFORMANCE_DIR to the folder of etcd-raft.`,
  );
}

/** The directives of every file of a suite, by file name. */
export function readSuite(suite: string): ReadonlyMap<string, readonly Directive[]> {
  const folder = conformanceFolder(suite);
  const names = readdirSync(folder).filter((name) => name.endsWith('.txt'));
  return new Map(
    names.sort().map((name) => [name, parseDirectives(name, readFileSync(join(folder, name), 'utf8'))]),
  );
}

/** Parses a file of directives. */
export function parseDirectives(name: string, text: string): readonly Directive[] {
  const lines = text.split('\n');
  const directives: Directive[] = [];
  let at = 0;
  while (at < lines.length) {
    const line = lines[at] as string;
    if (line.trim() === '' || line.startsWith('#')) {
      at++;
      continue;
    }
    const start = at + 1;
    let head = line;
    while (head.endsWith('\\')) {
      at++;
      head = `${head.slice(0, -1)} ${(lines[at] as string).trim()}`;
    }
    at++;
    const input: string[] = [];
    while (lines[at] !== '----') {
      if (at >= lines.length) throw new Error(`${name}:${start}: a directive without ----`);
      input.push(lines[at] as string);
      at++;
    }
    at++;
    const { output, next } = readOutput(lines, at);
    at = next;
    const [command, args] = parseHead(head);
    directives.push({ at: `${name}:${start}`, command, args, input, expected: output });
  }
  return directives;
}

/** The output after `----`: up to a blank line, or, after a second `----`, up to a doubled one. */
function readOutput(lines: readonly string[], from: number): { output: string; next: number } {
  let at = from;
  const output: string[] = [];
  if (lines[at] === '----') {
    at++;
    while (!(lines[at] === '----' && lines[at + 1] === '----')) {
      if (at >= lines.length) throw new Error('an output fence is not closed');
      output.push(lines[at] as string);
      at++;
    }
    return { output: output.join('\n'), next: at + 2 };
  }
  while (at < lines.length && lines[at] !== '') {
    output.push(lines[at] as string);
    at++;
  }
  return { output: output.join('\n'), next: at };
}

function parseHead(head: string): [string, ReadonlyMap<string, readonly string[]>] {
  const [command, ...rest] = head.match(/[^\s=]+=\([^)]*\)|\S+/g) ?? [];
  if (command === undefined) throw new Error(`no command in ${JSON.stringify(head)}`);
  const args = new Map<string, readonly string[]>();
  for (const word of rest) {
    const equals = word.indexOf('=');
    if (equals < 0) args.set(word, []);
    else args.set(word.slice(0, equals), valuesOf(word.slice(equals + 1)));
  }
  return [command, args];
}

function valuesOf(text: string): readonly string[] {
  if (!text.startsWith('(')) return [text];
  const inner = text.slice(1, -1).trim();
  return inner === '' ? [] : inner.split(/[,\s]+/);
}
