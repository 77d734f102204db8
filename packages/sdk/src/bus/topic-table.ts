// What the bus knows of each topic that it has seen: its counters, and which pattern subscriptions match it. Bounded,
// since topic names may come from outside; what is forgotten is learned again at the next message.

import type { BusSubscription } from './bus-subscription.js';
import { assertTopicName } from './topic-name.js';

/** Counters of one topic since it was learned. */
export interface TopicCounters {
  published: number;
  delivered: number;
  failed: number;
  dropped: number;
  rejected: number;
}

/** A topic that was published to. */
export class KnownTopic implements TopicCounters {
  published = 0;
  delivered = 0;
  failed = 0;
  dropped = 0;
  rejected = 0;
  /** The pattern subscriptions that matched when {@link generation} was current. */
  wildcards: readonly BusSubscription[] = [];
  generation = -1;
  /** False once the table has forgotten it: its counters are counted no more. */
  known = true;

  constructor(readonly name: string) {}
}

/** Under this name stand the counters of topics that were forgotten. It is no topic name, so none can collide. */
export const FORGOTTEN_TOPICS = '(forgotten)';

/** The topics that a bus has seen. */
export class TopicTable {
  private readonly topics = new Map<string, KnownTopic>();
  private readonly patterns = new Map<BusSubscription, readonly string[]>();
  private readonly forgotten = new KnownTopic(FORGOTTEN_TOPICS);
  private last = this.forgotten;
  private generation = 0;
  /** How often a topic had to be learned. */
  learned = 0;

  constructor(private capacity: number) {}

  get size(): number {
    return this.topics.size;
  }

  /** The topic, with its pattern subscriptions up to date. Hot path. @throws DwError `bus-invalid-topic`. */
  get(name: string): KnownTopic {
    // Messages come in bursts on one topic: comparing with the last name is far cheaper than looking it up.
    const last = this.last;
    if (last.name === name && last.known && last.generation === this.generation) return last;
    const topic = this.topics.get(name) ?? this.learn(name);
    if (topic.generation !== this.generation) this.resolve(topic);
    return (this.last = topic);
  }

  /** The topic, or what stands for all that are forgotten. Learns nothing. */
  peek(name: string): KnownTopic {
    return this.topics.get(name) ?? this.forgotten;
  }

  addPattern(subscription: BusSubscription): void {
    this.patterns.set(subscription, subscription.pattern.split('.'));
    this.generation++;
  }

  removePattern(subscription: BusSubscription): void {
    if (this.patterns.delete(subscription)) this.generation++;
  }

  /** Changes how many topics are remembered. */
  setCapacity(capacity: number): void {
    this.capacity = capacity;
    while (this.topics.size > capacity) this.forgetOldest();
  }

  /** Counters of every topic that is remembered, and of all others together under {@link FORGOTTEN_TOPICS}. */
  counters(): ReadonlyMap<string, Readonly<TopicCounters>> {
    const all = new Map<string, Readonly<TopicCounters>>();
    for (const topic of [...this.topics.values(), this.forgotten]) {
      const { published, delivered, failed, dropped, rejected } = topic;
      all.set(topic.name, { published, delivered, failed, dropped, rejected });
    }
    return all;
  }

  private learn(name: string): KnownTopic {
    assertTopicName(name);
    this.learned++;
    while (this.topics.size >= this.capacity) this.forgetOldest();
    const topic = new KnownTopic(name);
    this.topics.set(name, topic);
    return topic;
  }

  private forgetOldest(): void {
    const first = this.topics.values().next();
    if (first.done === true) return;
    const topic = first.value;
    this.topics.delete(topic.name);
    topic.known = false;
    for (const key of ['published', 'delivered', 'failed', 'dropped', 'rejected'] as const) {
      this.forgotten[key] += topic[key];
    }
  }

  private resolve(topic: KnownTopic): void {
    topic.generation = this.generation;
    const words = topic.name.split('.');
    const matching: BusSubscription[] = [];
    for (const [subscription, pattern] of this.patterns) {
      if (wordsMatch(pattern, words)) matching.push(subscription);
    }
    topic.wildcards = matching;
  }
}

function wordsMatch(pattern: readonly string[], words: readonly string[]): boolean {
  for (let i = 0; i < pattern.length; i++) {
    const word = pattern[i];
    if (word === '>') return words.length > i;
    if (i >= words.length || (word !== '*' && word !== words[i])) return false;
  }
  return pattern.length === words.length;
}
