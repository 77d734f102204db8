// The message bus over HTTP: publish, request and reply, listen. What enters here is checked, since it comes from
// outside; the sender is stamped `http` by the bus that this is given.

import { assertTopicName, assertTopicPattern, Type } from '@datawarehouse/sdk';
import type { IMessageBus, RouteDefinition } from '@datawarehouse/sdk';
import { overloaded, requestInvalid } from '../http/errors.js';
import { checkPayload } from './declared-topics.js';
import { eventStream } from './event-stream.js';
import { queueRefused } from './errors.js';

const MAX_PATTERNS = 32;
const MAX_LISTENERS = 256;
const MAX_TIMEOUT_MS = 100_000;
const DEFAULT_TIMEOUT_MS = 30_000;

const Params = Type.Object({ topic: Type.String({ minLength: 1, maxLength: 256 }) });
const SendQuery = Type.Object({
  timeoutMs: Type.Optional(
    Type.Integer({ minimum: 1, maximum: MAX_TIMEOUT_MS, default: DEFAULT_TIMEOUT_MS }),
  ),
});
const ListenQuery = Type.Object({
  topics: Type.String({
    minLength: 1,
    maxLength: 8_192,
    description: 'Topics or patterns, separated by commas',
  }),
});

/** `POST /v1/bus/:topic`, `POST /v1/bus/:topic/send`, `GET /v1/bus?topics=`. */
export function busRoutes(bus: IMessageBus): RouteDefinition[] {
  /** Streams open now; bounded by {@link MAX_LISTENERS}. */
  let listeners = 0;

  const publish: RouteDefinition = {
    method: 'POST',
    path: '/v1/bus/:topic',
    summary: 'Publish a message; handlers run after the answer',
    params: Params,
    body: Type.Unknown(),
    responses: { 202: Type.Object({ topic: Type.String() }) },
    handler: ({ params, body }) => {
      const topic = params['topic'] ?? '';
      assertTopicName(topic);
      if (!bus.publish(topic, checkPayload(topic, body))) throw queueRefused(topic);
      return { status: 202, body: { topic } };
    },
  };

  const send: RouteDefinition = {
    method: 'POST',
    path: '/v1/bus/:topic/send',
    summary: 'Ask the topic’s responder; 404 no-handler when there is none, 504 timeout when it is late',
    params: Params,
    query: SendQuery,
    body: Type.Unknown(),
    responses: { 200: Type.Unknown() },
    handler: async ({ params, query, body, signal }) => {
      const topic = params['topic'] ?? '';
      assertTopicName(topic);
      const timeoutMs = Number(query['timeoutMs'] ?? DEFAULT_TIMEOUT_MS);
      const reply = await bus.send(topic, checkPayload(topic, body), { timeoutMs, signal });
      return {
        headers: { 'content-type': 'application/json; charset=utf-8' },
        body: JSON.stringify(reply ?? null),
      };
    },
  };

  const listen: RouteDefinition = {
    method: 'GET',
    path: '/v1/bus',
    summary:
      'Server-sent events: event is the topic, data is JSON {topic, payload, sender, time, sequence}; ' +
      'dw.dropped tells how many messages a slow listener has missed',
    query: ListenQuery,
    responses: { 200: Type.String() },
    handler: ({ query, signal }) => {
      const patterns = [...new Set((query['topics'] ?? '').split(',').map((topic) => topic.trim()))];
      if (patterns.length > MAX_PATTERNS)
        throw requestInvalid([`"topics" has more than ${MAX_PATTERNS} patterns`]);
      for (const pattern of patterns) assertTopicPattern(pattern);
      if (listeners >= MAX_LISTENERS) throw overloaded(`${MAX_LISTENERS} listeners on the bus`);
      const stream = eventStream(bus, patterns, signal);
      listeners += 1;
      const leave = (): void => {
        listeners -= 1;
      };
      return { stream: whenEnded(stream, signal, leave) };
    },
  };
  return [publish, send, listen];
}

/** Calls `ended` once, when the stream has ended or, read or not, the request is over. */
function whenEnded(
  stream: AsyncIterable<string>,
  signal: AbortSignal,
  ended: () => void,
): AsyncIterable<string> {
  let done = false;
  const finish = (): void => {
    if (done) return;
    done = true;
    signal.removeEventListener('abort', finish);
    ended();
  };
  signal.addEventListener('abort', finish, { once: true });
  return (async function* () {
    try {
      yield* stream;
    } finally {
      finish();
    }
  })();
}
