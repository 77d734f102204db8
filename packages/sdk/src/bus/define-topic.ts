// Declares a topic once, with its schema, so that every publisher and subscriber shares one definition.

import type { TSchema } from '@sinclair/typebox';
import type { TopicDefinition, TopicOf } from './message-bus.js';
import { assertTopicName } from './topic-name.js';

const DEFAULT_CAPACITY = 1_000;

/**
 * Declares a topic.
 * @throws DwError `bus-invalid-topic` when the name is not a topic name.
 * @example
 * const Greeted = defineTopic({
 *   name: 'hello.greeted',
 *   description: 'Somebody was greeted',
 *   payload: Type.Object({ name: Type.String() }),
 * });
 */
export function defineTopic<P extends TSchema, R extends TSchema | undefined = undefined>(
  definition: TopicDefinition<P, R>,
): TopicOf<P, R> {
  assertTopicName(definition.name);
  return {
    name: definition.name,
    description: definition.description,
    payload: definition.payload,
    reply: definition.reply,
    overflow: definition.overflow ?? 'drop-oldest',
    capacity: definition.capacity ?? DEFAULT_CAPACITY,
  };
}
