export { defineTopic } from './define-topic.js';
export { assertTopicName, assertTopicPattern, isTopicPattern, topicMatches } from './topic-name.js';
export {
  BackpressureChanged,
  GroupsChanged,
  LeaderChanged,
  LimitsChanged,
  MembershipChanged,
  PluginStateChanged,
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
