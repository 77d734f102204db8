// The breakers of the resilience service, as sharing looks for them.

import type { CircuitLayer } from '../engine/circuit.js';
import { CircuitBreakerLayer } from '../strategies/circuit-breaker/circuit-breaker-layer.js';
import type { BreakerId } from './circuit-notice.js';
import type { ShareableBreaker, ShareableBreakers } from './circuit-sharing.js';

/** What of the resilience service is needed. */
export interface BreakerSource {
  /** The breakers of a key. @param make Makes the key's state, if the policy has a breaker and there is room. */
  breakers(policy: string, key: string, make?: boolean): readonly CircuitLayer[];
}

/** Finds breakers in the service. */
export function serviceBreakers(service: BreakerSource): ShareableBreakers {
  return {
    find: ({ policy, strategy, key }: BreakerId, make: boolean): ShareableBreaker | undefined => {
      for (const layer of service.breakers(policy, key, make)) {
        if (layer instanceof CircuitBreakerLayer && layer.strategy.name === strategy) return layer;
      }
      return undefined;
    },
  };
}
