// The commands of etcd's interaction suite, and those that our own scenarios have beyond them, over a group of cores.

import type { Directive } from './directives.js';
import { parseCommand } from './directives.js';
import { upstreamCommands, type CommandHandler } from './interaction/commands.js';
import { Environment } from './interaction/environment.js';
import { ownCommands } from './interaction/own-commands.js';
import { textOfStepError } from './interaction/errors.js';
import { UsageError, type Suite, type SuiteRun } from './suite.js';

const handlers: ReadonlyMap<string, CommandHandler> = new Map(
  Object.entries({ ...upstreamCommands, ...ownCommands }),
);

class InteractionRun implements SuiteRun {
  readonly #env = new Environment();

  async run(directive: Directive): Promise<string> {
    const { output } = this.#env;
    output.take();
    const fault = await this.#do(directive);
    const text = output.take();
    // An error is told also where nothing else is.
    const whole = fault === undefined ? text : output.quiet ? fault : text + fault;
    return whole === '' ? 'ok' : whole;
  }

  /**
   * The command, and those that stand below it; the text of the error that ended them.
   * @throws UsageError when one of them is not known.
   */
  async #do(directive: Directive): Promise<string | undefined> {
    const handler = handlers.get(directive.command);
    if (handler === undefined) throw new UsageError(`unknown command: ${directive.command}`);
    try {
      await handler(this.#env, directive, directive.input);
      if (directive.command !== 'propose-conf-change') await this.#doAll(directive.input);
      return undefined;
    } catch (error) {
      if (error instanceof UsageError) throw error;
      return textOfStepError(error);
    }
  }

  /** Further commands, one a line. */
  async #doAll(lines: readonly string[]): Promise<void> {
    for (const line of lines) {
      const command = parseCommand(line);
      const handler = command === undefined ? undefined : handlers.get(command.command);
      if (command === undefined || handler === undefined) throw new UsageError(`unknown command: ${line}`);
      await handler(this.#env, command, []);
    }
  }
}

/** Nodes that are driven step by step. */
export const interactionSuite: Suite = {
  name: 'interaction',
  commands: new Set(handlers.keys()),
  start: () => new InteractionRun(),
};
