// The door of the resilience plugin.

export { UltimateResiliencePlugin, UltimateResiliencePlugin as plugin } from './plugin.js';
export type { CircuitState, ResilienceEvent, ResilienceListener } from './engine/events.js';
export type { StrategyType } from './engine/layer.js';
export { rejectingPolicy, rejectingStrategy } from './errors.js';
export { readPolicyDocument } from './policy/document.js';
export type { PolicyDocument } from './policy/document.js';
export { lintPolicy } from './policy/linter.js';
export type { LintFinding } from './policy/linter.js';
export { LINT_RULES } from './policy/linter-rules.js';
export type { LintRule } from './policy/linter-rule.js';
export { explainPolicy } from './policy/explain.js';
export type { ExplainedStrategy, PolicyExplanation } from './policy/explain.js';
export { DEFAULT_POLICIES } from './policy/default-policies.js';
export { ResilienceService } from './policy/resilience-service.js';
export type { ResilienceServiceOptions } from './policy/resilience-service.js';
export { STRATEGY_CLASSES } from './policy/strategy-classes.js';
export { ResilienceScalingManager } from './scaling/resilience-scaling-manager.js';
export { RESILIENCE_LIMITS } from './scaling/resilience-limits.js';
