// Runs one command line to its exit code.

import { createRequire } from 'node:module';
import { CommanderError } from 'commander';
import { describeFailure, EXIT } from './errors.js';
import { createProgram } from './program.js';

/** Ends of commander that are what the user asked for. */
const ASKED_FOR: ReadonlySet<string> = new Set(['commander.helpDisplayed', 'commander.version']);

/** The version of this package. */
export function hostVersion(): string {
  const manifest = createRequire(import.meta.url)('../../package.json') as { version: string };
  return manifest.version;
}

/**
 * Runs `dw` with these arguments (without node and script).
 * @returns 0 done, 1 refused or failed, 2 wrong usage. What went wrong has been written to standard error.
 */
export async function run(args: readonly string[]): Promise<number> {
  try {
    await createProgram(hostVersion()).parseAsync([...args], { from: 'user' });
    return EXIT.done;
  } catch (thrown) {
    if (thrown instanceof CommanderError) return ASKED_FOR.has(thrown.code) ? EXIT.done : EXIT.usage;
    const { code, text } = describeFailure(thrown);
    process.stderr.write(`${text}\n`);
    return code;
  }
}
