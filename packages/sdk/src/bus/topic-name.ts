// What a topic name and a subscription pattern look like, and when one matches the other.

import { DwError } from '../errors/index.js';

const MAX_LENGTH = 256;
const NAME = /^[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$/;
const PATTERN = /^(?:(?:[A-Za-z0-9_-]+|\*)(?:\.(?:[A-Za-z0-9_-]+|\*))*(?:\.>)?|>)$/;

function invalid(given: unknown, what: string): DwError {
  const text = typeof given === 'string' ? given : `a ${typeof given}`;
  const shown = text.length > 80 ? `${text.slice(0, 80)}…` : text;
  return new DwError({
    code: 'bus-invalid-topic',
    status: 400,
    message: `"${shown}" is not a ${what}: dot-separated words of letters, digits, "_" and "-", at most ${MAX_LENGTH} characters`,
    hint: 'use a name such as "orders.created"; in a subscription "*" stands for one word and a final ">" for the rest',
  });
}

/** @throws DwError `bus-invalid-topic` unless `name` is a topic name without wildcards. */
export function assertTopicName(name: string): void {
  if (typeof name !== 'string' || name.length > MAX_LENGTH || !NAME.test(name)) throw invalid(name, 'topic');
}

/** @throws DwError `bus-invalid-topic` unless `pattern` is a topic name or a pattern. */
export function assertTopicPattern(pattern: string): void {
  if (typeof pattern !== 'string' || pattern.length > MAX_LENGTH || !PATTERN.test(pattern)) {
    throw invalid(pattern, 'topic or pattern');
  }
}

/** Whether `pattern` has a wildcard. */
export function isTopicPattern(pattern: string): boolean {
  return pattern.includes('*') || pattern.endsWith('>');
}

/** Whether a pattern (or a plain name) matches a topic. `*` is one word; a final `>` is one or more words. */
export function topicMatches(pattern: string, topic: string): boolean {
  if (pattern === topic) return true;
  const wanted = pattern.split('.');
  const words = topic.split('.');
  for (let i = 0; i < wanted.length; i++) {
    const word = wanted[i];
    if (word === '>') return words.length > i;
    if (i >= words.length || (word !== '*' && word !== words[i])) return false;
  }
  return wanted.length === words.length;
}
