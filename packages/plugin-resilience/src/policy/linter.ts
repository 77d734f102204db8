// Looks for orders of strategies that cannot work, or that do not what they seem to. A document that breaks a rule of
// severity `error` is refused; the others are warnings that come back with the answer.

import { policyInvalid } from '../errors.js';
import type { PolicyDocument } from './document.js';
import { LINT_RULES } from './linter-rules.js';
import type { LintSeverity, Linted } from './linter-rule.js';
import type { StrategyView } from './strategy-view.js';
import { worstCases } from './worst-case.js';

/** One thing that is wrong with a policy. */
export interface LintFinding {
  /** Id of the rule. */
  readonly rule: string;
  readonly severity: LintSeverity;
  /** What is wrong, with the names of the strategies. */
  readonly message: string;
  /** Why that is wrong. */
  readonly why: string;
}

/** Everything that the rules find in a policy. */
export function lintPolicy(document: PolicyDocument): readonly LintFinding[] {
  const all = document.strategies as readonly StrategyView[];
  // What is on a dry run turns nobody away and ends nothing.
  const strategies = all.filter(({ dryRun }) => dryRun !== true);
  const linted: Linted = {
    adapts: document.adaptive?.enabled === true,
    all,
    strategies,
    worst: worstCases(strategies, { serverHints: false }),
  };
  return LINT_RULES.flatMap(({ id, severity, why, check }) =>
    check(linted).map((message) => ({ rule: id, severity, message, why })),
  );
}

/**
 * The warnings about a policy.
 * @throws DwError `policy-invalid` with every finding of severity `error`.
 */
export function refuseUnworkable(document: PolicyDocument): readonly LintFinding[] {
  const findings = lintPolicy(document);
  const errors = findings.filter(({ severity }) => severity === 'error');
  if (errors.length > 0) {
    throw policyInvalid(
      document.name,
      errors.map(({ rule, message, why }) => `${message}: ${why} (${rule})`),
    );
  }
  return findings;
}
