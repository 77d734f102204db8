// Every error of the bus, in one place. The topic names that they show have been checked or are cut short.

import { DwError } from '../errors/index.js';

export function busClosed(sender: string): DwError {
  return new DwError({
    code: 'bus-closed',
    status: 503,
    message: `the bus is closed for ${sender}`,
    hint: 'stop using the bus once the plugin or the host has been stopped',
  });
}

export function busNotPermitted(
  sender: string,
  act: 'publish' | 'subscribe',
  topic: string,
  allowed: readonly string[],
): DwError {
  const names = allowed.length === 0 ? 'nothing' : allowed.join(', ');
  return new DwError({
    code: 'bus-not-permitted',
    status: 403,
    message: `${sender} may not ${act} to "${topic}"; its manifest allows ${names}`,
    hint: `add the topic to topics.${act} in the plugin's manifest`,
    details: { sender, act, topic },
  });
}

export function queueFull(topic: string, subscriber: string, capacity: number): DwError {
  return new DwError({
    code: 'bus-queue-full',
    status: 503,
    retryable: true,
    message: `"${topic}" was not taken by ${subscriber}: ${capacity} messages wait for it already`,
    hint: 'publish more slowly, or make the subscriber faster',
    details: { topic, subscriber, capacity },
  });
}

export function tooManyRequests(limit: number): DwError {
  return new DwError({
    code: 'bus-queue-full',
    status: 503,
    retryable: true,
    message: `${limit} requests wait for their answers on the bus already`,
    hint: 'raise maxConcurrentOperations of the subsystem "bus", or send less at once',
  });
}

export function noHandler(topic: string): DwError {
  return new DwError({
    code: 'no-handler',
    status: 404,
    message: `nobody answers requests on "${topic}"`,
    hint: 'check that the plugin that responds to this topic is active',
    details: { topic },
  });
}

export function sendTimeout(topic: string, responder: string, timeoutMs: number): DwError {
  return new DwError({
    code: 'timeout',
    status: 504,
    retryable: true,
    message: `${responder} did not answer "${topic}" within ${timeoutMs} ms; it may still handle the request`,
    hint: 'give the request more time with timeoutMs, or look at why the responder is slow',
    details: { topic, responder, timeoutMs },
  });
}

export function responderExists(topic: string, responder: string): DwError {
  return new DwError({
    code: 'bus-responder-exists',
    status: 409,
    message: `"${topic}" is answered by ${responder} already; a topic has one responder`,
    hint: 'end the other responder first, or use another topic',
    details: { topic, responder },
  });
}

export function tooManySubscriptions(limit: number): DwError {
  return new DwError({
    code: 'bus-too-many-subscriptions',
    status: 503,
    message: `the bus has ${limit} subscriptions, which is its limit`,
    hint: 'end subscriptions that are not needed, or raise maxSubscriptions of the subsystem "bus"',
  });
}

export function invalidOption(name: string, value: unknown, allowed: string): DwError {
  return new DwError({
    code: 'bus-invalid-option',
    status: 400,
    message: `${name} cannot be ${String(value)}: it must be ${allowed}`,
    hint: 'correct the option, or leave it out for the default',
  });
}
