// Runs the directives of a file and says for each whether its output is the expected one.

import { confChangeSuite } from './confchange-suite.js';
import { parseDirectives, type Directive } from './directives.js';
import { interactionSuite } from './interaction-suite.js';
import { quorumSuite } from './quorum-suite.js';
import { textOfError, type Suite, type SuiteRun } from './suite.js';

/** What became of a directive. */
export interface Result {
  readonly directive: Directive;
  readonly passed: boolean;
  /** What was compared: without the lines of loggers, and `ok` for nothing. */
  readonly expected: string;
  readonly actual: string;
}

const suites: readonly Suite[] = [interactionSuite, confChangeSuite, quorumSuite];

/** The suite that a file is of: that of its first command which any suite knows. */
export function suiteOf(directives: readonly Directive[]): Suite {
  for (const { command } of directives) {
    const suite = suites.find((each) => each.commands.has(command));
    if (suite !== undefined) return suite;
  }
  return interactionSuite;
}

const loggerLine = /^\s*(DEBUG|INFO|WARN|ERROR|FATAL|PANIC)(\s|$)/;

/** What of an output counts: not what a logger wrote. */
export function comparable(output: string): string {
  const lines = output.split('\n').filter((line) => !loggerLine.test(line));
  const text = lines.join('\n').replace(/\n+$/, '');
  return text === '' ? 'ok' : text;
}

/** Runs a file from its text. Never throws: what goes wrong is the output of a directive, which then fails. */
export async function runFile(name: string, text: string): Promise<readonly Result[]> {
  const directives = parseDirectives(name, text);
  const run = suiteOf(directives).start();
  const results: Result[] = [];
  for (const directive of directives) results.push(await runDirective(run, directive));
  return results;
}

async function runDirective(run: SuiteRun, directive: Directive): Promise<Result> {
  const expected = comparable(directive.expected);
  if (directive.fault !== undefined) {
    return { directive, passed: false, expected, actual: `not run: ${directive.fault}` };
  }
  let actual: string;
  try {
    actual = comparable(await run.run(directive));
  } catch (error) {
    return { directive, passed: false, expected, actual: `failed: ${textOfError(error)}` };
  }
  return { directive, passed: actual === expected, expected, actual };
}
