export { RESILIENCE } from './resilience.js';
export type { CircuitState, ResilienceEvent, ResilienceListener } from './event.js';
export type {
  IResiliencePolicy,
  ResilienceAction,
  ResilienceCallOptions,
  ResilienceHealthInfo,
  ResiliencePolicyState,
} from './policy.js';
export type { IResilience } from './resilience.js';
export type { ResilienceStrategyType } from './strategy-type.js';
