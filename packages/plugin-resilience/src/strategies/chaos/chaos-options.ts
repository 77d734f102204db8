// What can be set of chaos.

import { Type } from '@datawarehouse/sdk';
import type { Static } from '@datawarehouse/sdk';
import { commonOptions } from '../common-options.js';

const rate = (description: string) => Type.Number({ default: 0, minimum: 0, maximum: 1, description });
const latency = (description: string) =>
  Type.Number({ default: 0, minimum: 0, maximum: 600_000, description });

/** Schema of {@link ChaosOptions}. */
export const CHAOS_OPTIONS = Type.Object(
  {
    ...commonOptions('chaos'),
    enabled: Type.Boolean({ default: false, description: 'nothing is injected unless this is true' }),
    faultRate: rate('share of the calls that fail with chaos-injected'),
    latencyRate: rate('share of the calls that wait first'),
    latencyMinMs: latency('shortest wait, in ms'),
    latencyMaxMs: latency('longest wait, in ms; never shorter than the shortest'),
    resultRate: rate('share of the calls that give `result`, of those that do not fail'),
    result: Type.Optional(Type.Unknown({ description: 'any JSON: what such a call gives' })),
  },
  { additionalProperties: false },
);

/** Options of chaos. */
export type ChaosOptions = Static<typeof CHAOS_OPTIONS>;
