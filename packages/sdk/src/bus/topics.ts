// Every topic of the house, declared once with its schema. Names and payloads are part of the public surface.

import { Type } from '@sinclair/typebox';
import { defineTopic } from './define-topic.js';

const LimitValues = Type.Record(Type.String(), Type.Number());
const BackpressureName = Type.Union([
  Type.Literal('normal'),
  Type.Literal('warning'),
  Type.Literal('critical'),
  Type.Literal('shedding'),
]);

/** `dw.scaling.reconfigure` (send): changes limits of a subsystem; answers what was applied and what was before. */
export const ScalingReconfigure = defineTopic({
  name: 'dw.scaling.reconfigure',
  description: 'Change limits of a subsystem, all or nothing',
  payload: Type.Object({ subsystem: Type.String(), limits: LimitValues }, { additionalProperties: false }),
  reply: Type.Object({ applied: LimitValues, previous: LimitValues }),
  overflow: 'reject',
});

/** `dw.scaling.limits.changed`: limits of a subsystem have changed. */
export const LimitsChanged = defineTopic({
  name: 'dw.scaling.limits.changed',
  description: 'Limits of a subsystem have changed',
  payload: Type.Object({
    subsystem: Type.String(),
    previous: LimitValues,
    current: LimitValues,
    source: Type.String(),
  }),
});

/** `dw.scaling.backpressure.changed`: a subsystem's backpressure state has changed. */
export const BackpressureChanged = defineTopic({
  name: 'dw.scaling.backpressure.changed',
  description: "A subsystem's backpressure state has changed",
  payload: Type.Object({
    subsystem: Type.String(),
    previous: BackpressureName,
    current: BackpressureName,
  }),
});

/** `dw.cluster.membership.changed`: a node came, went, or is suspected. */
export const MembershipChanged = defineTopic({
  name: 'dw.cluster.membership.changed',
  description: 'A node came, went, or is suspected',
  payload: Type.Object({
    action: Type.Union([
      Type.Literal('joined'),
      Type.Literal('left'),
      Type.Literal('removed'),
      Type.Literal('suspected'),
      Type.Literal('recovered'),
    ]),
    nodeId: Type.String(),
    endpoint: Type.Optional(Type.String()),
  }),
});

/** `dw.consensus.leader.changed`: a Raft group has another leader, or none. */
export const LeaderChanged = defineTopic({
  name: 'dw.consensus.leader.changed',
  description: 'A Raft group has another leader, or none',
  payload: Type.Object({
    groupId: Type.String(),
    leaderId: Type.Optional(Type.String()),
    term: Type.Integer(),
  }),
});

/** `dw.consensus.groups.changed`: a Raft group was made, removed, or has other voters. */
export const GroupsChanged = defineTopic({
  name: 'dw.consensus.groups.changed',
  description: 'A Raft group was made, removed, or has other voters',
  payload: Type.Object({
    groupId: Type.String(),
    change: Type.String(),
    voters: Type.Array(Type.String()),
  }),
});

/** `dw.plugin.state.changed`: a plugin moved from one state of its life to another. */
export const PluginStateChanged = defineTopic({
  name: 'dw.plugin.state.changed',
  description: 'A plugin moved from one state of its life to another',
  payload: Type.Object({
    pluginId: Type.String(),
    previous: Type.String(),
    current: Type.String(),
    reason: Type.Optional(Type.String()),
  }),
});

const CircuitStateName = Type.Union([
  Type.Literal('closed'),
  Type.Literal('open'),
  Type.Literal('half-open'),
  Type.Literal('isolated'),
]);

/** `dw.resilience.circuit-breaker.state`: a circuit breaker of this node is in another state. */
export const CircuitBreakerStateChanged = defineTopic({
  name: 'dw.resilience.circuit-breaker.state',
  description: 'A circuit breaker of this node is in another state',
  payload: Type.Object({
    policy: Type.String(),
    key: Type.String(),
    previousState: CircuitStateName,
    newState: CircuitStateName,
    reason: Type.String(),
    /** Name of the breaker within the policy. */
    strategy: Type.Optional(Type.String()),
    /** Whose doing it was: this node's calls, another node's breaker, or an operator. */
    source: Type.Optional(
      Type.Union([Type.Literal('calls'), Type.Literal('remote'), Type.Literal('operator')]),
    ),
    /** Milliseconds that it stays open, when it opened. */
    breakMs: Type.Optional(Type.Number()),
    /** Counts the changes of this policy's breaker for this key over all nodes; of two, the later has the higher one. */
    lamport: Type.Optional(Type.Integer()),
    /** The node where the change began. */
    nodeId: Type.Optional(Type.String()),
  }),
});

/** `dw.resilience.adapted`: a threshold of a resilience policy was moved by itself. */
export const ResilienceAdapted = defineTopic({
  name: 'dw.resilience.adapted',
  description: 'A threshold of a resilience policy was moved by itself',
  payload: Type.Object({
    policy: Type.String(),
    /** Name of the strategy within the policy. */
    strategy: Type.String(),
    limit: Type.String(),
    previous: Type.Number(),
    current: Type.Number(),
    reason: Type.String(),
  }),
});

/** `dw.resilience.policy.set` (send): sets a resilience policy of this node, or removes what was set before. */
export const ResiliencePolicySet = defineTopic({
  name: 'dw.resilience.policy.set',
  description: 'Set a resilience policy of this node, or remove what was set before',
  payload: Type.Object(
    {
      document: Type.Optional(
        Type.Unknown({ description: 'The policy: {name, description?, strategies}, checked as over HTTP' }),
      ),
      remove: Type.Optional(
        Type.String({ minLength: 1, maxLength: 128, description: 'In place of a document: the name' }),
      ),
    },
    { additionalProperties: false },
  ),
  reply: Type.Object({
    policy: Type.String(),
    change: Type.String(),
    warnings: Type.Array(Type.String()),
  }),
  overflow: 'reject',
  capacity: 100,
});
