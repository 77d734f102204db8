// The base of plugins that wrap calls in policies.

import type { ResilienceHealthInfo } from '../resilience/index.js';
import { InfrastructurePluginBase } from './plugin-base.js';

/** A plugin that runs actions under named policies. */
export abstract class ResiliencePluginBase extends InfrastructurePluginBase {
  readonly infrastructureDomain: string = 'Resilience';

  /**
   * Runs `action` under the policy.
   * @throws what the action throws in the end; DwError `policy-unknown`; the policy's own rejection.
   */
  abstract executeWithResilienceAsync<T>(
    action: (signal: AbortSignal) => Promise<T>,
    policyName: string,
    signal?: AbortSignal,
  ): Promise<T>;
  /** The state of all policies. */
  abstract getResilienceHealthAsync(): Promise<ResilienceHealthInfo>;
}
