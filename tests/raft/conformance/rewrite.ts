// Writes what directives printed into their file, in place of what was expected. Everything else stays as it stands.

import type { Result } from './run-file.js';

const fence = '----';

/** The text of a file with the outputs of its directives. */
export function rewritten(text: string, results: readonly Result[]): string {
  const lines = text.split('\n');
  const parts: string[] = [];
  let at = 0;
  for (const { directive, actual, passed } of results) {
    const { from, to } = directive.output;
    // One that cannot be run, or prints what it should, stays as it is.
    if (directive.fault !== undefined || passed) continue;
    parts.push(...lines.slice(at, from), ...outputLines(actual));
    at = to;
  }
  return [...parts, ...lines.slice(at)].join('\n');
}

/** Output with blank lines in it stands between fences. */
function outputLines(output: string): readonly string[] {
  const lines = output.split('\n');
  const plain = lines[0] !== fence && lines.every((line) => line.trim() !== '');
  return plain ? lines : [fence, ...lines, fence, fence];
}
