// The topics that the SDK declares, by name, so that a message from outside can be checked against its schema.

import * as sdk from '@datawarehouse/sdk';
import type { Topic } from '@datawarehouse/sdk';
import { requestInvalid } from '../http/errors.js';
import { SchemaChecker } from '../schema/schema-checker.js';

function isTopic(value: unknown): value is Topic {
  if (typeof value !== 'object' || value === null) return false;
  const candidate = value as Partial<Topic>;
  return (
    typeof candidate.name === 'string' &&
    typeof candidate.payload === 'object' &&
    typeof candidate.overflow === 'string' &&
    typeof candidate.capacity === 'number'
  );
}

/** Every topic that the SDK exports. Found by its shape, so that a topic added there is checked here. */
export const DECLARED_TOPICS: ReadonlyMap<string, Topic> = new Map(
  Object.values(sdk as Record<string, unknown>)
    .filter(isTopic)
    .map((topic) => [topic.name, topic]),
);

const checker = new SchemaChecker({ allErrors: false, root: 'the payload' });

/**
 * Checks a payload from outside against its topic's schema, if the topic is declared; any JSON will do for others.
 * @returns the payload with the schema's defaults filled in.
 * @throws DwError `request-invalid` naming the field.
 */
export function checkPayload(topic: string, payload: unknown): unknown {
  const declared = DECLARED_TOPICS.get(topic);
  if (declared === undefined) return payload;
  const checked = checker.check(declared.payload, payload);
  if (!checked.ok) throw requestInvalid(checked.issues.map((issue) => `${topic}: ${issue}`));
  return checked.value;
}
