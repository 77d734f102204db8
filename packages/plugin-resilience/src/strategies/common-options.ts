// The fields that the options of every strategy begin with.

import { Type } from '@datawarehouse/sdk';
import type { StrategyType } from '../engine/layer.js';

/** The common fields of a strategy of this type, to be spread into its schema. */
export function commonOptions<T extends StrategyType>(type: T) {
  return {
    type: Type.Literal(type),
    name: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 64,
        description: 'tells strategies of one type in one policy apart; default: the type',
      }),
    ),
    dryRun: Type.Boolean({
      default: false,
      description: 'counts and reports what it would do, and does not do it',
    }),
  };
}
