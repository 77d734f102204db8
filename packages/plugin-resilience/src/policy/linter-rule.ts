// What a rule of the linter is, and what it may ask.

import type { StrategyType } from '../engine/layer.js';
import type { StrategyView } from './strategy-view.js';
import type { WorstCase } from './worst-case.js';

/** `error`: a policy that breaks the rule is refused. `warning`: it is taken, and who sets it is told. */
export type LintSeverity = 'error' | 'warning';

/** A policy as rules see it. */
export interface Linted {
  /** Whether its document asks for thresholds that move by themselves. */
  readonly adapts: boolean;
  /** All strategies, outermost first. */
  readonly all: readonly StrategyView[];
  /** Those that act: not on a dry run. */
  readonly strategies: readonly StrategyView[];
  /** What each of {@link strategies} sees at worst, without hints of servers; one more for the bare action. */
  readonly worst: readonly WorstCase[];
}

/** One rule. */
export interface LintRule {
  /** Stable, kebab-case. */
  readonly id: string;
  readonly severity: LintSeverity;
  /** The rule in a sentence, for the documentation. */
  readonly rule: string;
  /** Why it is one: what goes wrong otherwise. */
  readonly why: string;
  /** One message for each place that breaks it. */
  readonly check: (policy: Linted) => readonly string[];
}

/** The strategies of one type. */
export type ViewOf<Type extends StrategyType> = Extract<StrategyView, { readonly type: Type }>;

/** A strategy with its place in the row. */
export interface Placed<Type extends StrategyType> {
  readonly at: number;
  readonly strategy: ViewOf<Type>;
}

/** Strategies of one type, outermost first. */
export function placed<Type extends StrategyType>({ strategies }: Linted, type: Type): Placed<Type>[] {
  return strategies.flatMap((strategy, at) =>
    strategy.type === type ? [{ at, strategy: strategy as ViewOf<Type> }] : [],
  );
}

/** Each strategy of one type with each of another that is further in. */
export function inside<Outer extends StrategyType, Inner extends StrategyType>(
  policy: Linted,
  outer: Outer,
  inner: Inner,
): (readonly [Placed<Outer>, Placed<Inner>])[] {
  return placed(policy, outer).flatMap((out) =>
    placed(policy, inner)
      .filter(({ at }) => at > out.at)
      .map((within) => [out, within] as const),
  );
}

/** Whether something between two places makes several attempts of one call, so that the two do not see the same calls. */
export function multiplied({ strategies }: Linted, from: number, to: number): boolean {
  return strategies
    .slice(from + 1, to)
    .some(({ type }) => type === 'retry' || type === 'hedge' || type === 'coalesce');
}

/** A strategy's name in a message. */
export function nameOf({ strategy }: { readonly strategy: StrategyView }): string {
  return strategy.name === undefined || strategy.name === strategy.type
    ? strategy.type
    : `${strategy.type} ${strategy.name}`;
}

/** Milliseconds for people. */
export function msText(ms: number): string {
  if (ms === Infinity) return 'for ever';
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 120_000) return `${Number((ms / 1_000).toFixed(1))} s`;
  return `${Number((ms / 60_000).toFixed(1))} min`;
}
