// What a suite is: a vocabulary of commands, and something that carries them out, one file after another.

import type { Directive } from './directives.js';

/** Carries out the directives of one file, in order. */
export interface SuiteRun {
  /**
   * What the directive printed, without the line break at its end.
   * @throws UsageError when the command or one of its arguments is not known: then it has failed, whatever is expected.
   */
  run(directive: Directive): string | Promise<string>;
}

/** A vocabulary of commands. */
export interface Suite {
  readonly name: string;
  /** The commands by which a file is known to be of this suite. */
  readonly commands: ReadonlySet<string>;
  /** A fresh start, for one file. */
  start(): SuiteRun;
}

/** A command that cannot be understood. */
export class UsageError extends Error {}

/** The text of an error that a command ended with. */
export function textOfError(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
