// What a policy is at one time: its document and the strategies made of it. A change makes another shape in which the
// strategies that stay are the same objects, so that no state is lost; rows of layers are made again for the new shape
// when their keys are next used.

import { isDeepStrictEqual } from 'node:util';
import { errorMessage } from '@datawarehouse/sdk';
import type { Strategy, StrategyContext, StrategyOptions } from '../engine/strategy.js';
import { policyInvalid } from '../errors.js';
import type { PolicyDocument } from './document.js';
import { strategyName } from './document.js';
import type { StrategyTable } from './strategy-table.js';
import { makeStrategy } from './strategy-table.js';

/** A policy between two changes. */
export interface PolicyShape {
  readonly document: PolicyDocument;
  /** Outermost first, in the order of the document. */
  readonly strategies: readonly Strategy[];
  /** Whether one of them gives attempts up while the caller still waits. */
  readonly givesUp: boolean;
}

/** Names a strategy among those of its policy. */
function slot(options: StrategyOptions): string {
  return `${options.type} ${strategyName(options)}`;
}

/**
 * The shape of `document`, with the strategies that `current` has already (by type and name) configured in place.
 * Either all of it is in force in the end, or nothing has changed.
 * @throws DwError `policy-invalid`.
 */
export function shapeOf(
  document: PolicyDocument,
  table: StrategyTable,
  context: StrategyContext,
  current: PolicyShape | undefined,
): PolicyShape {
  const present = new Map((current?.strategies ?? []).map((strategy) => [slot(strategy.options), strategy]));
  // A document that no longer says that thresholds may move puts them back.
  const adaptsAsBefore = isDeepStrictEqual(current?.document.adaptive, document.adaptive);
  const documented = new Map(
    (adaptsAsBefore ? (current?.document.strategies ?? []) : []).map((options) => [slot(options), options]),
  );
  const strategies: Strategy[] = [];
  const staying: { readonly strategy: Strategy; readonly options: StrategyOptions }[] = [];
  const problems: string[] = [];
  const seen = new Set<string>();
  for (const options of document.strategies) {
    const name = slot(options);
    if (seen.has(name)) problems.push(`there are two ${options.type} named ${strategyName(options)}`);
    seen.add(name);
    const stays = present.get(name);
    if (stays !== undefined) {
      strategies.push(stays);
      // What the document says as it did before stays as it is now: a threshold may have moved by itself.
      if (!isDeepStrictEqual(documented.get(name), options)) staying.push({ strategy: stays, options });
      continue;
    }
    const made = attempt(problems, options, () => makeStrategy(table, options, context));
    if (made !== undefined) strategies.push(made);
  }
  if (problems.length > 0) throw policyInvalid(document.name, problems);
  configureAll(document.name, staying);
  return { document, strategies, givesUp: strategies.some((strategy) => strategy.givesUp) };
}

function attempt(
  problems: string[],
  options: StrategyOptions,
  make: () => Strategy | undefined,
): Strategy | undefined {
  try {
    const made = make();
    if (made === undefined) problems.push(`there is no strategy of type ${JSON.stringify(options.type)}`);
    return made;
  } catch (thrown) {
    problems.push(`${strategyName(options)}: ${errorMessage(thrown)}`);
    return undefined;
  }
}

/** Configures all of them, or none. */
function configureAll(
  policy: string,
  staying: readonly { readonly strategy: Strategy; readonly options: StrategyOptions }[],
): void {
  const before: StrategyOptions[] = [];
  try {
    for (const { strategy, options } of staying) {
      before.push(strategy.options);
      strategy.configure(options);
    }
  } catch (thrown) {
    for (let n = before.length - 1; n >= 0; n--) staying[n]?.strategy.configure(before[n] as StrategyOptions);
    throw policyInvalid(policy, [errorMessage(thrown)]);
  }
}
