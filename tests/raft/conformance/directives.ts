// Reads data-driven test files in the format of etcd's Raft: a command line with arguments, perhaps input lines, `----`,
// and the output that is expected. A file that breaks the format gives a directive that says so, never an exception: the
// runner counts it as failed and goes on.

/** An argument: `key`, `key=value` or `key=(value,value)`. Without `=` there are no values. */
export interface Argument {
  readonly key: string;
  readonly values: readonly string[];
}

/** One command of a file, with the output that it must give. */
export interface Directive {
  readonly file: string;
  /** Line of the command, from 1. */
  readonly line: number;
  /** The whole command line. */
  readonly text: string;
  readonly command: string;
  readonly args: readonly Argument[];
  readonly input: readonly string[];
  /** Without the line break at its end. */
  readonly expected: string;
  /** Where the expected output stands, fences and all: from this line up to, not including, that one; from 0. */
  readonly output: { readonly from: number; readonly to: number };
  /** Why this directive cannot be run. */
  readonly fault: string | undefined;
}

/** A command with its arguments. */
export interface Command {
  readonly command: string;
  readonly args: readonly Argument[];
}

/** The values of an argument; undefined when it is not there. */
export function valuesOf(command: Command, key: string): readonly string[] | undefined {
  return command.args.find((arg) => arg.key === key)?.values;
}

const fence = '----';

/** The directives of a file. */
export function parseDirectives(file: string, text: string): readonly Directive[] {
  const lines = text.split(/\r?\n/);
  const directives: Directive[] = [];
  let at = 0;
  while (at < lines.length) {
    const line = (lines[at] as string).trim();
    // `subtest` only names what follows.
    if (line === '' || line.startsWith('#') || /^subtest(\s|$)/.test(line)) {
      at++;
      continue;
    }
    const { directive, next } = parseDirective(file, lines, at);
    directives.push(directive);
    at = next;
  }
  return directives;
}

function parseDirective(
  file: string,
  lines: readonly string[],
  start: number,
): { directive: Directive; next: number } {
  let head = (lines[start] as string).trim();
  let at = start + 1;
  while (head.endsWith('\\') && at < lines.length) {
    head = `${head.slice(0, -1).trimEnd()} ${(lines[at] as string).trim()}`;
    at++;
  }
  const input: string[] = [];
  while (at < lines.length && lines[at] !== fence) {
    input.push(lines[at] as string);
    at++;
  }
  const missing = at >= lines.length ? `no ${fence} follows the command` : undefined;
  const from = at + 1;
  const output = readOutput(lines, from);
  const parsed = parseCommand(head);
  const directive: Directive = {
    file,
    line: start + 1,
    text: head,
    command: parsed?.command ?? head,
    args: parsed?.args ?? [],
    input: trimmed(input),
    expected: output.text,
    output: { from, to: output.next },
    fault: missing ?? output.fault ?? (parsed === undefined ? 'the command line cannot be read' : undefined),
  };
  return { directive, next: output.next };
}

/** Without blank lines at either end. */
function trimmed(lines: readonly string[]): readonly string[] {
  const text = lines.join('\n').trim();
  return text === '' ? [] : text.split('\n');
}

/** The output after `----`: up to a blank line, or, after a second `----`, up to a doubled one. */
function readOutput(
  lines: readonly string[],
  from: number,
): { text: string; next: number; fault: string | undefined } {
  let at = from;
  const output: string[] = [];
  if (lines[at] !== fence) {
    while (at < lines.length && (lines[at] as string).trim() !== '') output.push(lines[at++] as string);
    return { text: output.join('\n'), next: at, fault: undefined };
  }
  at++;
  while (at < lines.length && !(lines[at] === fence && lines[at + 1] === fence)) {
    output.push(lines[at++] as string);
  }
  const fault = at >= lines.length ? `the output is not closed by two lines ${fence}` : undefined;
  return { text: output.join('\n'), next: Math.min(at + 2, lines.length), fault };
}

/** Reads a command line; undefined when its parentheses do not match. */
export function parseCommand(line: string): Command | undefined {
  const words = wordsOf(line.trim());
  const command = words?.[0];
  if (words === undefined || command === undefined || command.startsWith('=')) return undefined;
  return { command, args: words.slice(1).map(argumentOf) };
}

/** Splits at spaces that stand outside parentheses. */
function wordsOf(line: string): readonly string[] | undefined {
  const words: string[] = [];
  let word = '';
  let depth = 0;
  for (const char of line) {
    if (char === '(' && (depth > 0 || word.endsWith('='))) depth++;
    else if (char === ')' && depth > 0) depth--;
    if (depth === 0 && (char === ' ' || char === '\t')) {
      if (word !== '') words.push(word);
      word = '';
    } else word += char;
  }
  if (word !== '') words.push(word);
  return depth === 0 ? words : undefined;
}

function argumentOf(word: string): Argument {
  const equals = word.indexOf('=');
  if (equals < 0) return { key: word, values: [] };
  const key = word.slice(0, equals);
  const value = word.slice(equals + 1);
  if (!value.startsWith('(') || !value.endsWith(')')) return { key, values: [value] };
  const inner = value.slice(1, -1).trim();
  return { key, values: inner === '' ? [] : inner.split(/[,\s]+/) };
}
