// Which class makes which strategy.

import type { StrategyType } from '../engine/layer.js';
import type { Strategy, StrategyContext, StrategyOptions } from '../engine/strategy.js';

/** The class of a strategy whose options are those of its type, checked before. */
export type StrategyClass = new (
  options: never,
  context: StrategyContext,
) => Omit<Strategy<never>, 'options'>;

/** The classes by type. A document that names a type without one is refused. */
export type StrategyTable = Readonly<Partial<Record<StrategyType, StrategyClass>>>;

/**
 * Makes a strategy. The options were checked against the schema of their type, which is what ties the two together.
 * @returns undefined when the table has no class for the type.
 */
export function makeStrategy(
  table: StrategyTable,
  options: StrategyOptions,
  context: StrategyContext,
): Strategy | undefined {
  const made = table[options.type] as
    | (new (options: StrategyOptions, context: StrategyContext) => Strategy)
    | undefined;
  return made === undefined ? undefined : new made(options, context);
}
