// Says what a policy does to a call, strategy by strategy, and what one call can cost at most.

import type { PolicyDocument } from './document.js';
import { strategyName } from './document.js';
import { lintPolicy } from './linter.js';
import type { LintFinding } from './linter.js';
import { msText } from './linter-rule.js';
import type { StrategyView } from './strategy-view.js';
import { longestBackoffsMs, worstCases } from './worst-case.js';

/** One strategy of an explanation. */
export interface ExplainedStrategy {
  readonly name: string;
  readonly type: string;
  readonly dryRun: boolean;
  /** What it does, in a sentence. */
  readonly does: string;
  /** Most attempts that it makes of one call that comes to it. */
  readonly attempts: number;
  /** Longest that a call that comes to it takes, in ms; null: unbounded. */
  readonly timeMs: number | null;
}

/** What a policy does to a call. */
export interface PolicyExplanation {
  readonly policy: string;
  readonly description?: string;
  /** Times that the action is begun at most for one call. */
  readonly attempts: number;
  /** Longest that a caller waits, in ms; null: unbounded. */
  readonly timeMs: number | null;
  /** Why it is unbounded, when it is. */
  readonly unbounded?: string;
  /** The worst case in a sentence. */
  readonly summary: string;
  /** Outermost first. */
  readonly strategies: readonly ExplainedStrategy[];
  /** What the linter finds. */
  readonly findings: readonly LintFinding[];
}

/** Explains a policy that was read by `readPolicyDocument`. */
export function explainPolicy(document: PolicyDocument): PolicyExplanation {
  const strategies = document.strategies as readonly StrategyView[];
  const row = worstCases(strategies);
  const whole = row[0] ?? { attempts: 1, timeMs: Infinity, unbounded: undefined };
  const time =
    whole.unbounded === undefined
      ? `at most ${msText(whole.timeMs)}`
      : `an unbounded time (${whole.unbounded})`;
  return {
    policy: document.name,
    ...(document.description === undefined ? {} : { description: document.description }),
    attempts: whole.attempts,
    timeMs: boundedMs(whole.timeMs),
    ...(whole.unbounded === undefined ? {} : { unbounded: whole.unbounded }),
    summary: `one call makes at most ${counted(whole.attempts, 'attempt')} and takes ${time}`,
    strategies: strategies.map((strategy, at) => ({
      name: strategyName(strategy),
      type: strategy.type,
      dryRun: strategy.dryRun === true,
      does: `${strategy.dryRun === true ? 'dry run, counts only: ' : ''}${does(strategy)}`,
      attempts: row[at]?.attempts ?? 1,
      timeMs: boundedMs(row[at]?.timeMs ?? Infinity),
    })),
    findings: lintPolicy(document),
  };
}

function boundedMs(timeMs: number): number | null {
  return timeMs === Infinity ? null : Math.ceil(timeMs);
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

function does(strategy: StrategyView): string {
  switch (strategy.type) {
    case 'retry': {
      const waits = longestBackoffsMs(strategy, { serverHints: false });
      const hints = strategy.respectRetryAfter
        ? `, or up to ${msText(strategy.maxRetryAfterMs)} each when the callee says when to come back`
        : '';
      const budget = strategy.budget ? 'within a budget' : 'without a budget';
      return `tries again up to ${counted(strategy.maxRetries, 'time')} ${budget}, with ${strategy.backoff} waits of at most ${msText(waits)} together${hints}`;
    }
    case 'circuit-breaker':
      return `turns calls away for ${msText(strategy.breakMs)} once too many have failed, then lets probes through`;
    case 'timeout':
      return strategy.mode === 'aggressive'
        ? `gives up after ${msText(strategy.timeoutMs)}`
        : `tells the action after ${msText(strategy.timeoutMs)} to stop, and waits until it has`;
    case 'bulkhead':
      return `lets ${strategy.concurrency} in at once for each key${queued(strategy.queue, strategy.queueTimeoutMs || Infinity)}`;
    case 'adaptive-concurrency':
      return `lets ${strategy.min} to ${strategy.max} in at once for each key, as latency allows${queued(strategy.queue, Infinity)}`;
    case 'rate-limit':
      return `lets ${strategy.limit} in each ${msText(strategy.perMs)} for each key${queued(strategy.queue, strategy.maxWaitMs)}`;
    case 'hedge':
      return `begins ${counted(strategy.maxHedges, 'further attempt')} at most, one each ${msText(strategy.delayMs)}, and takes the first success`;
    case 'fallback':
      return 'answers with a value in place of an error';
    case 'coalesce':
      return 'lets calls that are equal and under way at once share one attempt';
    case 'chaos':
      return strategy.enabled
        ? 'makes some calls fail, wait or get a made-up result by intent'
        : 'does nothing: it is not enabled';
  }
}

function queued(queue: number, waitMs: number): string {
  if (queue === 0) return ', and turns more away';
  return waitMs === Infinity
    ? `; ${queue} more wait`
    : `; ${queue} more wait, each for at most ${msText(waitMs)}`;
}
