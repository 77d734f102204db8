// What can be set of a fallback.

import { Type } from '@datawarehouse/sdk';
import type { Static } from '@datawarehouse/sdk';
import { ERROR_MATCH } from '../../engine/error-match.js';
import { commonOptions } from '../common-options.js';

/** Schema of {@link FallbackOptions}. */
export const FALLBACK_OPTIONS = Type.Object(
  {
    ...commonOptions('fallback'),
    value: Type.Optional(
      Type.Unknown({
        description:
          'any JSON: what a call gives in place of an error; absent: errors of callers without a fallback',
      }),
    ),
    handle: Type.Object(ERROR_MATCH.properties, {
      additionalProperties: false,
      default: {},
      description: 'which errors are stood in for',
    }),
  },
  { additionalProperties: false },
);

/** Options of a fallback. */
export type FallbackOptions = Static<typeof FALLBACK_OPTIONS>;
