// Reading the arguments of a command. One that is not understood fails, whatever it was expected to print.

import type { Argument, Command } from '../directives.js';
import { UsageError } from '../suite.js';

/** Options of a command, by name. */
export class Options {
  readonly #args: readonly Argument[];
  /** The arguments that are no options: numbers of nodes, text. */
  readonly words: readonly string[];

  /** `known` options; those of `flags` may stand without a value. Anything else is refused. */
  constructor(command: Command, known: readonly string[] = [], flags: readonly string[] = []) {
    const isOption = (arg: Argument): boolean => known.includes(arg.key) || flags.includes(arg.key);
    const unknown = command.args.find((arg) => !isOption(arg) && arg.values.length > 0);
    if (unknown !== undefined) throw new UsageError(`unknown option of ${command.command}: ${unknown.key}`);
    this.#args = command.args.filter(isOption);
    this.words = command.args.filter((arg) => !isOption(arg)).map((arg) => arg.key);
  }

  has(key: string): boolean {
    return this.#args.some((arg) => arg.key === key);
  }

  list(key: string): readonly string[] {
    return this.#args.filter((arg) => arg.key === key).flatMap((arg) => arg.values);
  }

  text(key: string): string | undefined {
    return this.list(key)[0];
  }

  number(key: string): number | undefined {
    const text = this.text(key);
    return text === undefined ? undefined : wholeNumber(text, key);
  }

  flag(key: string): boolean {
    if (!this.has(key)) return false;
    const text = this.text(key);
    if (text === undefined || ['1', 't', 'true'].includes(text.toLowerCase())) return true;
    if (['0', 'f', 'false'].includes(text.toLowerCase())) return false;
    throw new UsageError(`${key} is true or false, not ${text}`);
  }

  /** Refuses words beyond so many. */
  atMost(count: number, command: Command): this {
    const extra = this.words[count];
    if (extra !== undefined) throw new UsageError(`unknown option of ${command.command}: ${extra}`);
    return this;
  }

  /** The word at this place. */
  word(at: number, what: string): string {
    const word = this.words[at];
    if (word === undefined) throw new UsageError(`${what} is missing`);
    return word;
  }
}

/** Reads a number of nodes, ticks, or an index. */
export function wholeNumber(text: string, what: string): number {
  const value = Number(text);
  if (text === '' || !Number.isSafeInteger(value) || value < 0) {
    throw new UsageError(`${what} is a whole number, not ${JSON.stringify(text)}`);
  }
  return value;
}
