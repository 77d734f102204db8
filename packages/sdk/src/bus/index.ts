export { defineTopic } from './define-topic.js';
export { InProcessBus } from './in-process-bus.js';
export { ScopedBus } from './scoped-bus.js';
export { ALL_TOPICS, permissionCovers } from './topic-permissions.js';
export { assertTopicName, assertTopicPattern, isTopicPattern, topicMatches } from './topic-name.js';
export {
  BackpressureChanged,
  CircuitBreakerStateChanged,
  GroupsChanged,
  LeaderChanged,
  LimitsChanged,
  MembershipChanged,
  PluginStateChanged,
  ResilienceAdapted,
  ResiliencePolicySet,
  ScalingReconfigure,
} from './topics.js';
export type {
  BusMessage,
  BusStatistics,
  DeliveryReport,
  IMessageBus,
  MessageHandler,
  OverflowRule,
  PublishOptions,
  RequestHandler,
  SendOptions,
  SubscribeOptions,
  Subscription,
  Topic,
  TopicDefinition,
  TopicOf,
} from './message-bus.js';
export type { BusLimitValues } from './bus-limits.js';
export type { RunInContext } from './bus-owner.js';
export type { BusReport, BusReportListener } from './bus-reporter.js';
export type { InProcessBusOptions } from './in-process-bus.js';
export type { TopicPermissions } from './topic-permissions.js';
export type { TopicCounters } from './topic-table.js';
