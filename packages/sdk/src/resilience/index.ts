export type { IResiliencePolicy, ResilienceHealthInfo, ResiliencePolicyState } from './policy.js';
