// Which topics a sender may publish and subscribe to: patterns from its manifest, with the answers remembered.

import { busNotPermitted } from './errors.js';
import { assertTopicName, assertTopicPattern, topicMatches } from './topic-name.js';

/** Patterns of the topics that a sender may use. */
export interface TopicPermissions {
  /** It may publish and send to topics that match one of these. */
  readonly publish: readonly string[];
  /** It may subscribe and respond to topics, and subscribe to patterns, that one of these covers whole. */
  readonly subscribe: readonly string[];
}

/** Everything is permitted: for the host itself and for tests. */
export const ALL_TOPICS: TopicPermissions = Object.freeze({ publish: ['>'], subscribe: ['>'] });

/** Answers that are remembered at most; then all are forgotten, since names may come from outside. */
const REMEMBERED = 1_000;

/**
 * Whether every topic that `pattern` matches is matched by `permission` too. `orders.*` covers `orders.new` and
 * `orders.*`, but neither `orders.>` nor `>`.
 */
export function permissionCovers(permission: string, pattern: string): boolean {
  const allowed = permission.split('.');
  const wanted = pattern.split('.');
  for (let i = 0; i < allowed.length; i++) {
    const word = allowed[i];
    if (word === '>') return wanted.length > i;
    const other = wanted[i];
    if (other === undefined || other === '>' || (word !== '*' && word !== other)) return false;
  }
  return allowed.length === wanted.length;
}

/** Checks the topics of one sender. */
export class PermissionCheck {
  private readonly publish: readonly string[];
  private readonly subscribe: readonly string[];
  private readonly publishable = new Set<string>();

  /** @throws DwError `bus-invalid-topic` when a permission is not a pattern. */
  constructor(
    private readonly sender: string,
    permissions: TopicPermissions,
  ) {
    for (const pattern of [...permissions.publish, ...permissions.subscribe]) assertTopicPattern(pattern);
    this.publish = [...permissions.publish];
    this.subscribe = [...permissions.subscribe];
  }

  /** Hot path. @throws DwError `bus-not-permitted`, `bus-invalid-topic`. */
  mayPublish(topic: string): void {
    if (!this.publishable.has(topic)) this.learn(topic);
  }

  /** @throws DwError `bus-not-permitted`, `bus-invalid-topic`. */
  maySubscribe(pattern: string): void {
    assertTopicPattern(pattern);
    if (this.subscribe.some((permission) => permissionCovers(permission, pattern))) return;
    throw busNotPermitted(this.sender, 'subscribe', pattern, this.subscribe);
  }

  private learn(topic: string): void {
    assertTopicName(topic);
    if (!this.publish.some((permission) => topicMatches(permission, topic))) {
      throw busNotPermitted(this.sender, 'publish', topic, this.publish);
    }
    if (this.publishable.size >= REMEMBERED) this.publishable.clear();
    this.publishable.add(topic);
  }
}
