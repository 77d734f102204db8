// The vocabulary of the Raft core: what goes in, what comes out. No behaviour.
//
// The core is a pure state machine in the manner of etcd's Raft: messages and ticks in, a Ready out. It has no I/O, no
// clock and no randomness of its own. All indexes and terms are non-negative safe integers; index 0 and term 0 stand
// before the first entry.

/** Id of a node in a group. */
export type NodeId = string;

/** What an entry is for. An empty `normal` entry is a leader's no-op. */
export type EntryType = 'normal' | 'conf-change';

/** One entry of a group's log. */
export interface Entry {
  readonly term: number;
  readonly index: number;
  readonly type: EntryType;
  readonly data: Uint8Array;
}

/** What must be on disk before any message that depends on it is sent. */
export interface HardState {
  readonly term: number;
  /** Whom this node voted for in `term`. */
  readonly vote: NodeId | undefined;
  /** Highest index known to be committed. Losing it costs nothing but time. */
  readonly commit: number;
}

/** The members of a group. `votersOutgoing` is non-empty only while a joint change is under way. */
export interface ConfState {
  readonly voters: readonly NodeId[];
  readonly votersOutgoing: readonly NodeId[];
  readonly learners: readonly NodeId[];
  readonly learnersNext: readonly NodeId[];
  /**
   * Those of `voters` and `votersOutgoing` that keep the log without its data and no state: they vote and count in the
   * quorum, and never lead.
   */
  readonly witnesses: readonly NodeId[];
  readonly autoLeave: boolean;
}

/** What a membership change does with one node. */
export type ConfChangeType = 'add-voter' | 'add-learner' | 'add-witness' | 'remove' | 'update';

/** One node's part of a membership change. */
export interface ConfChangeSingle {
  readonly type: ConfChangeType;
  readonly nodeId: NodeId;
}

/**
 * How a change of several voters passes through the joint configuration.
 * - `auto`: a change of one voter is made at once, anything else is joint and left by itself
 * - `joint-implicit`: joint, left by itself as soon as it is applied
 * - `joint-explicit`: joint until an empty change leaves it
 */
export type ConfChangeTransition = 'auto' | 'joint-implicit' | 'joint-explicit';

/** A membership change: what a `conf-change` entry carries. Without changes it leaves a joint configuration. */
export interface ConfChange {
  readonly transition: ConfChangeTransition;
  readonly changes: readonly ConfChangeSingle[];
  /** The proposer's own bytes; the core does not look at them. */
  readonly context: Uint8Array;
}

/** Which entries a snapshot stands for. */
export interface SnapshotMetadata {
  readonly index: number;
  readonly term: number;
  readonly conf: ConfState;
}

/** A snapshot. `data` may be the state itself or whatever the engine needs to find it. */
export interface Snapshot {
  readonly metadata: SnapshotMetadata;
  readonly data: Uint8Array;
}

/** The kinds of messages. `hup`, `beat`, `check-quorum` and the two `storage-…` responses are local to a node. */
export type MessageType =
  | 'hup'
  | 'beat'
  | 'check-quorum'
  | 'propose'
  | 'append'
  | 'append-response'
  | 'vote'
  | 'vote-response'
  | 'pre-vote'
  | 'pre-vote-response'
  | 'snapshot'
  | 'snapshot-status'
  | 'heartbeat'
  | 'heartbeat-response'
  | 'unreachable'
  | 'transfer-leader'
  | 'timeout-now'
  | 'read-index'
  | 'read-index-response'
  | 'forget-leader'
  | 'storage-append-response'
  | 'storage-apply-response';

/** One message. A field that a type does not use has its zero value, as in etcd's Raft. */
export interface Message {
  readonly type: MessageType;
  readonly to: NodeId;
  readonly from: NodeId;
  /** 0 for messages that carry no term (proposals, local ones). */
  readonly term: number;
  /** Term of the entry at `index` (append: the entry before the first one sent; votes: the last entry). */
  readonly logTerm: number;
  readonly index: number;
  readonly entries: readonly Entry[];
  readonly commit: number;
  readonly vote: NodeId | undefined;
  readonly snapshot: Snapshot | undefined;
  readonly reject: boolean;
  /** Where to look next after a rejected append (with `logTerm`). */
  readonly rejectHint: number;
  /** Ties a response to its request: read index, or `transfer` on a vote that check-quorum must not refuse. */
  readonly context: string;
}

/** A linearizable read may be served once `index` is applied. */
export interface ReadState {
  readonly index: number;
  /** The context that was given to `readIndex`. */
  readonly context: string;
}

/** Role of a node in a group. */
export type Role = 'follower' | 'pre-candidate' | 'candidate' | 'leader';

/** How a linearizable read makes sure that its leader still leads: by a quorum, or by a lease that it holds. */
export type ReadMode = 'safe' | 'lease';

/**
 * Leader leases, measured in milliseconds of each node's own monotonic clock (`RaftCore.setTime`). All nodes of a group
 * must be given the same values.
 */
export interface LeaseConfig {
  /** For so long after it heard from a leader a node helps nobody else to lead. Well below the election timeout. */
  readonly promiseMs: number;
  /** A leader trusts its lease for this much less than the promise, as a ratio: clocks may differ by it. Below 1. */
  readonly driftMargin: number;
  /** Between two calls of `setTime` so much time may pass; more was a pause, after which no older round counts. */
  readonly maxPauseMs: number;
  /** A node that was just started may have promised before: it helps nobody for `promiseMs`. Off only for tests. */
  readonly refuseVotesAfterStart: boolean;
}

/** What is lost on restart. */
export interface SoftState {
  readonly leader: NodeId | undefined;
  readonly role: Role;
}

/**
 * What to write to disk. Once it is there, and not before, each of `responses` goes out: those to this node's own id
 * are stepped into the core, the others are sent. Appends must become durable in the order of their Readies.
 */
export interface StorageAppend {
  /**
   * False when there is nothing here that must survive a crash (only a commit index that moved, or only responses).
   * Such an append needs no sync of its own: it may wait for the next one's. Its responses still wait until every
   * earlier append is durable.
   */
  readonly mustSync: boolean;
  readonly hardState: HardState | undefined;
  readonly entries: readonly Entry[];
  /** Replaces log and state up to its index; written before `entries`. */
  readonly snapshot: Snapshot | undefined;
  readonly responses: readonly Message[];
}

/** What to apply to the state machine. Once applied, `responses` are stepped into the core. */
export interface StorageApply {
  readonly entries: readonly Entry[];
  readonly responses: readonly Message[];
}

/** All that the core wants done since it was last asked. */
export interface Ready {
  /** Present when it changed. */
  readonly soft: SoftState | undefined;
  /** Send at once, without waiting for the disk. Never to this node itself. */
  readonly messages: readonly Message[];
  readonly append: StorageAppend | undefined;
  readonly apply: StorageApply | undefined;
  readonly reads: readonly ReadState[];
}

/**
 * What the core reads of the durable log. Synchronous: the core never waits. It shows what was handed over for
 * writing by earlier Readies (whether durable yet or not is the core's own account).
 */
export interface RaftStorage {
  initialState(): { readonly hardState: HardState; readonly conf: ConfState };
  /** Index of the first entry kept; one more than the snapshot's index. */
  firstIndex(): number;
  /** Index of the last entry, or of the snapshot when there is none. */
  lastIndex(): number;
  /** Term of an entry, or of the snapshot at its index; undefined when compacted or beyond the end. */
  term(index: number): number | undefined;
  /**
   * Entries in `[from, to)`, all of them there, at most `maxBytes` of data but at least one.
   * @throws DwError `raft-log-compacted` when `from` is below the first index.
   */
  entries(from: number, to: number, maxBytes: number): readonly Entry[];
  /** The newest snapshot; undefined while one is being made. */
  snapshot(): Snapshot | undefined;
}

/** How a core is set up. */
export interface RaftConfig {
  readonly id: NodeId;
  readonly storage: RaftStorage;
  /** Ticks without hearing from a leader before an election; the deadline is drawn from [n, 2n). */
  readonly electionTicks: number;
  /** Ticks between heartbeats. */
  readonly heartbeatTicks: number;
  /** Applied already, from the state machine; entries up to it are not handed out again. */
  readonly applied: number;
  /** Bytes of entries in one append message. */
  readonly maxBytesPerMessage: number;
  /** Bytes of committed entries in one Ready. */
  readonly maxCommittedBytesPerReady: number;
  /** Bytes of entries that were proposed and are not committed; more are refused with `proposal-dropped`. */
  readonly maxUncommittedBytes: number;
  /** Appends under way to one follower. */
  readonly maxInflightMessages: number;
  /** Bytes of appends under way to one follower; 0 is no limit. */
  readonly maxInflightBytes: number;
  readonly checkQuorum: boolean;
  readonly preVote: boolean;
  /** How reads are confirmed that do not say it themselves. Default `safe`. */
  readonly readOnly?: ReadMode;
  /** Leases by the clock. Without them a leader in `lease` mode trusts that check-quorum would have deposed it. */
  readonly lease?: LeaseConfig;
  /**
   * This replica gives no vote, and does not stand, before its log has reached this index: it has taken the place of one
   * that was removed here, whose acknowledgements and votes it does not know. A node that has not heard of the removal
   * may still count on them. Default 0.
   */
  readonly voteFloor?: number;
  /** A leader that is removed or demoted steps down when it applies that, instead of leading on. Default false. */
  readonly stepDownOnRemoval?: boolean;
  /** Append membership changes that would be refused. For conformance suites only. Default false. */
  readonly disableConfChangeValidation?: boolean;
  /**
   * Hand out committed entries before this node itself has them on disk. Only for a driver that writes and applies
   * one Ready at a time, in that order. Default false.
   */
  readonly applyUnstable?: boolean;
  /** Uniform in [0, 1). The only source of randomness. */
  readonly random: () => number;
  /** Told what happens, for logs. Must not throw. */
  readonly trace?: (event: string, fields: Readonly<Record<string, unknown>>) => void;
}
