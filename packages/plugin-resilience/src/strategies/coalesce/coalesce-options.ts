// What can be set of coalescing. Which calls are equal is the callers' to say, by `identity`.

import { Type } from '@datawarehouse/sdk';
import type { Static } from '@datawarehouse/sdk';
import { commonOptions } from '../common-options.js';

/** Schema of {@link CoalesceOptions}. */
export const COALESCE_OPTIONS = Type.Object(commonOptions('coalesce'), { additionalProperties: false });

/** Options of coalescing. */
export type CoalesceOptions = Static<typeof COALESCE_OPTIONS>;
