// Brings each operation to a node that can carry it out: here if the group's leader (for a read, any replica) is here,
// else over the transport. An operation that certainly did nothing is tried again elsewhere until its time is up. One
// that may have happened is not, unless it carries an idempotency key, which makes a second try harmless.

import type { Clock, DwError, IPeerTransport, Logger, RaftGroupStatus } from '@datawarehouse/sdk';
import { errorMessage, isDwError } from '@datawarehouse/sdk';
import { ByteReader } from '../codec/byte-reader.js';
import { ByteWriter } from '../codec/byte-writer.js';
import { groupUnknown, noLeader, outcomeUnknown, requestAborted } from '../errors.js';
import type { EntryKind } from '../engine/entry-envelope.js';
import type { MultiRaftEngine } from '../engine/multi-raft-engine.js';
import { MAX_KEY_BYTES } from '../state/command.js';
import type { Outcome } from '../state/outcome.js';
import { readOutcome } from '../state/outcome.js';
import { ForwardClient, answerLost, isAnswerMissing } from './forward-client.js';
import type { ForwardLimits } from './forward-client.js';
import type { ForwardOperation } from './forward-codec.js';
import { FORWARD_CHANNEL, decodeForwardFrame, holdsRequests } from './forward-codec.js';
import { keyValuesOf } from './group-key-values.js';
import { ForwardServer } from './forward-server.js';
import type { Committed } from './local-operations.js';
import { LocalOperations } from './local-operations.js';
import { GroupTable } from './group-table.js';
import type { PeerCalls } from './peer-calls/peer-calls.js';
import type { GroupPlacement } from './placement.js';
import type { RouteOptions as TargetOptions, Target } from './route-targets.js';
import { RouteTargets } from './route-targets.js';

/** Codes of errors after which nothing happened, and another node or a little later may do better. */
const TRY_AGAIN = new Set([
  'not-leader',
  'no-leader',
  'leadership-lost',
  'peer-unreachable',
  'peer-queue-full',
  'draining',
  'consensus-not-running',
  'group-failed',
  'group-closed',
  'no-replica',
  'storage-failed',
  // A peer that has just joined, or was retired, does not know the group; what this node does not know is not asked for.
  'group-unknown',
  // What the policy of requests to peers turned away, which was not handled.
  'bulkhead-full',
  'bulkhead-queue-timeout',
  'chaos-injected',
  'circuit-isolated',
  'circuit-open',
  'concurrency-limited',
  'peer-answer-invented',
  'rate-limited',
  'resilience-keys-exhausted',
]);
/** Those of them that say, when time is up, that there was nobody to ask. */
const NOBODY = new Set(['not-leader', 'no-replica', 'peer-unreachable', 'group-unknown']);
/** Refusals of a session that a command gets although an earlier copy of it may have been applied. */
const LEAVES_OPEN: ReadonlySet<Outcome['status']> = new Set([
  'session-expired',
  'sequence-acknowledged',
  'session-full',
]);
const FIRST_WAIT_MS = 10;
const LONGEST_WAIT_MS = 100;
const MAX_LOGGED_FRAMES = 10;

/** Limits of the router; asked at each use. */
export interface RouterLimits extends ForwardLimits {
  readonly requestTimeoutMs: number;
  /** Operations that wait for a leader; more fail at once. */
  readonly maxQueueDepth: number;
}

/** A value and its version, as a replica has it. */
export interface VersionedValue {
  readonly value: Uint8Array;
  readonly version: number;
}

interface RouteOptions extends TargetOptions {
  /** Whether a second try of what may have happened is harmless. */
  readonly repeatable: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** Routes operations to the groups' leaders. */
export class GroupRouter {
  readonly local: LocalOperations;
  /** Frames of forwarded requests that were refused as malformed. */
  malformedFrames = 0;
  private readonly client: ForwardClient;
  private readonly server: ForwardServer;
  private readonly placements: GroupTable;
  private readonly disposables: Disposable[];
  private readonly targets: RouteTargets;
  /** Woken when any group's leader changes. */
  private readonly waiters = new Set<() => void>();
  private stopped = false;

  constructor(
    private readonly engine: MultiRaftEngine,
    transport: IPeerTransport,
    private readonly clock: Clock,
    private readonly log: Logger,
    groups: GroupTable | readonly GroupPlacement[],
    groupOf: (key: string) => string,
    private readonly limits: () => RouterLimits,
    /** First id of requests to other nodes. Default: random. */
    firstRequestId?: number,
    /** Makes requests to peers under a policy. Default: they are made as they are. */
    calls?: PeerCalls,
  ) {
    this.placements = GroupTable.of(groups);
    this.local = new LocalOperations(engine, clock, groupOf, (id) => this.targets.leaderHint(id));
    this.targets = new RouteTargets(engine, this.local, transport);
    this.client = new ForwardClient(transport, clock, limits, firstRequestId, calls);
    this.server = new ForwardServer(
      transport,
      this.local,
      clock,
      () => limits().requestTimeoutMs,
      (reason) => log.warn({ reason }, 'could not send an answer to a peer'),
      (groupId, kind, data, deadline) => this.proposeBy(deadline, groupId, kind, data, { mayRelay: false }),
    );
    this.disposables = [
      transport.handle(FORWARD_CHANNEL, {
        borrowsPayloads: true,
        onMessage: (from, payload) => this.receive(from, payload),
      }),
      transport.onPeerStateChanged((peer, state) => {
        this.targets.peerChanged(peer, state);
        if (state === 'disconnected') this.client.onDisconnected(peer);
        this.leaderChanged();
      }),
    ];
  }

  /** Operations waiting for a leader. */
  get queueDepth(): number {
    return this.waiters.size;
  }

  /** Requests under way to other nodes, and from them. */
  get forwards(): { readonly outgoing: number; readonly incoming: number; readonly lostReplies: number } {
    return { outgoing: this.client.size, incoming: this.server.size, lostReplies: this.server.lostReplies };
  }

  /** Clock time at which an operation that begins now gives up. */
  deadline(): number {
    return this.clock.now() + this.limits().requestTimeoutMs;
  }

  /** Wakes what waits for a leader. */
  leaderChanged(): void {
    if (this.waiters.size === 0) return;
    const waiters = [...this.waiters];
    this.waiters.clear();
    for (const wake of waiters) wake();
  }

  /**
   * Proposes to a group, wherever its leader is.
   * @param repeatable Whether a second try of a write that may have happened is harmless.
   * @throws DwError: with any code but `outcome-unknown` it did not happen and never will.
   */
  propose(
    groupId: string,
    kind: EntryKind,
    data: Uint8Array,
    repeatable: boolean,
    signal?: AbortSignal,
  ): Promise<Committed> {
    return this.proposeBy(this.deadline(), groupId, kind, data, { repeatable, signal });
  }

  /** Reads a key linearizably. */
  get(groupId: string, key: string, signal?: AbortSignal): Promise<VersionedValue | undefined> {
    const deadline = this.deadline();
    const attempt = async ({ peer }: Target): Promise<VersionedValue | undefined> => {
      if (peer === undefined) return keyValuesOf(await this.local.confirm(groupId, deadline)).get(key);
      const writer = new ByteWriter(key.length + 8);
      writer.text(key);
      const body = await this.client.request(peer, 'get', groupId, writer.finish(), deadline);
      if (body.length === 0) return undefined;
      const reader = new ByteReader(body, 'an answer to a read');
      return { version: reader.varint(), value: reader.rest() };
    };
    return this.route(groupId, deadline, attempt, { needsLeader: false, repeatable: true, signal });
  }

  /** Lists a group's keys linearizably. */
  list(
    groupId: string,
    prefix: string,
    after: string | undefined,
    limit: number,
    signal?: AbortSignal,
  ): Promise<readonly { key: string; version: number }[]> {
    const deadline = this.deadline();
    const attempt = async ({ peer }: Target) => {
      if (peer === undefined) {
        return keyValuesOf(await this.local.confirm(groupId, deadline)).list(prefix, after, limit);
      }
      const writer = new ByteWriter(64);
      writer.text(prefix);
      writer.u8(after === undefined ? 0 : 1);
      writer.text(after ?? '');
      writer.varint(limit);
      const body = await this.client.request(peer, 'list', groupId, writer.finish(), deadline);
      const reader = new ByteReader(body, 'an answer to a list');
      return Array.from({ length: Math.min(reader.varint(), limit) }, () => {
        const key = reader.text(MAX_KEY_BYTES);
        return { key, version: reader.varint() };
      });
    };
    return this.route(groupId, deadline, attempt, { needsLeader: false, repeatable: true, signal });
  }

  /** Asks a group's state machine linearizably, here or where there is a replica. */
  query(groupId: string, request: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    const deadline = this.deadline();
    const attempt = async ({ peer }: Target): Promise<Uint8Array> => {
      if (peer !== undefined) return this.client.request(peer, 'query', groupId, request, deadline);
      await this.local.confirm(groupId, deadline);
      return this.local.query(groupId, request);
    };
    return this.route(groupId, deadline, attempt, { needsLeader: false, repeatable: true, signal });
  }

  /** A group as this node sees it, or as a peer does when it has no replica here. */
  async status(groupId: string): Promise<RaftGroupStatus> {
    if (this.engine.group(groupId) !== undefined) return this.local.status(groupId);
    const deadline = this.deadline();
    const attempt = async ({ peer }: Target): Promise<RaftGroupStatus> => {
      if (peer === undefined) return this.local.status(groupId);
      const body = await this.client.request(peer, 'status', groupId, new Uint8Array(0), deadline);
      return JSON.parse(Buffer.from(body).toString()) as RaftGroupStatus;
    };
    return this.route(groupId, deadline, attempt, { needsLeader: false, repeatable: true });
  }

  /** Moves leadership. @throws DwError `transfer-target-invalid`, `transfer-failed`, `no-leader`. */
  async transfer(groupId: string, to: string): Promise<void> {
    const writer = new ByteWriter(64);
    writer.text(to);
    await this.administer(groupId, 'transfer', writer.finish(), (deadline) =>
      this.local.transfer(groupId, to, deadline),
    );
  }

  /**
   * Does something that only a group's leader can, here or at the peer that leads. It is tried again until `deadline`, so
   * it must be harmless when it is done twice.
   */
  atLeader<T>(
    groupId: string,
    deadline: number,
    here: () => Promise<T>,
    there: (peer: string) => Promise<T>,
  ): Promise<T> {
    const attempt = async ({ peer }: Target): Promise<T> => {
      if (peer === undefined) return here();
      try {
        return await there(peer);
      } catch (error) {
        const lost = isDwError(error, 'peer-timeout') || isDwError(error, 'peer-disconnected');
        throw lost ? answerLost(peer, error.message) : error;
      }
    };
    return this.route(groupId, deadline, attempt, { needsLeader: true, mayRelay: false, repeatable: true });
  }

  /** Takes a snapshot here, or at a peer when the group has no replica here. @returns its index. */
  async snapshot(groupId: string): Promise<number> {
    if (this.engine.group(groupId) !== undefined) return this.local.snapshot(groupId);
    const body = await this.administer(groupId, 'snapshot', new Uint8Array(0), async () => undefined);
    return body === undefined ? 0 : new ByteReader(body, 'an answer').varint();
  }

  /** Stops serving and fails what is under way. */
  stop(): void {
    this.stopped = true;
    for (const disposable of this.disposables.splice(0)) disposable[Symbol.dispose]();
    this.server.stop();
    this.client.stop();
    this.leaderChanged();
  }

  private async proposeBy(
    deadline: number,
    groupId: string,
    kind: EntryKind,
    data: Uint8Array,
    options: Partial<RouteOptions>,
  ): Promise<Committed> {
    const operation: ForwardOperation = `propose-${kind}`;
    let mayHaveHappened = false;
    const attempt = async ({ peer, relay }: Target): Promise<Committed> => {
      try {
        if (peer === undefined)
          return await this.local.propose(groupId, kind, data, deadline, options.signal);
        const body = await this.client.request(peer, operation, groupId, data, deadline, relay);
        const reader = new ByteReader(body, 'an answer to a write');
        return { index: reader.varint(), outcome: readOutcome(reader) };
      } catch (error) {
        // No answer, or one that cannot be read: the write may have happened.
        if (isAnswerMissing(error) || isDwError(error, 'frame-malformed')) {
          mayHaveHappened = true;
          throw outcomeUnknown(groupId, error.message);
        }
        if (isDwError(error, 'outcome-unknown')) mayHaveHappened = true;
        throw error;
      }
    };
    const route = { repeatable: false, ...options, needsLeader: true };
    const answer = await this.route(groupId, deadline, attempt, route);
    // That the session refuses this copy says nothing of the one before it.
    if (!mayHaveHappened || !LEAVES_OPEN.has(answer.outcome.status)) return answer;
    throw outcomeUnknown(groupId, `its session refuses a second try: ${answer.outcome.status}`);
  }

  private administer(
    groupId: string,
    operation: ForwardOperation,
    body: Uint8Array,
    here: (deadline: number) => Promise<void>,
  ): Promise<Uint8Array | undefined> {
    const deadline = this.deadline();
    const attempt = async ({ peer }: Target): Promise<Uint8Array | undefined> => {
      if (peer !== undefined) return this.client.request(peer, operation, groupId, body, deadline);
      await here(deadline);
      return undefined;
    };
    return this.route(groupId, deadline, attempt, { needsLeader: true, repeatable: true });
  }

  private async route<T>(
    groupId: string,
    deadline: number,
    attempt: (target: Target) => Promise<T>,
    options: RouteOptions,
  ): Promise<T> {
    const placement = this.placements.get(groupId);
    if (placement === undefined) throw groupUnknown(groupId);
    let lastUnknown: DwError | undefined;
    for (let tries = 0; ; tries++) {
      // A repeatable write of which one try may have happened stays unknown until another try says more.
      if (options.signal?.aborted === true) throw lastUnknown ?? requestAborted();
      const target = this.targets.of(placement, options, tries);
      let failure: DwError;
      try {
        if (target === undefined) throw noLeader(groupId);
        const answer = await attempt(target);
        if (options.needsLeader && target.peer !== undefined && target.relay !== true) {
          this.targets.succeeded(placement, target.peer);
        }
        return answer;
      } catch (error) {
        if (!isDwError(error)) throw error;
        failure = error;
      }
      this.targets.learn(placement, failure);
      const unknown = failure.code === 'outcome-unknown' || isAnswerMissing(failure);
      if (unknown) lastUnknown = failure;
      const again = TRY_AGAIN.has(failure.code) || (unknown && options.repeatable);
      if (!again || this.stopped) throw this.verdict(failure, lastUnknown);
      const wait = Math.min(FIRST_WAIT_MS * 2 ** Math.min(tries, 8), LONGEST_WAIT_MS);
      if (this.clock.now() + wait >= deadline) {
        throw this.verdict(NOBODY.has(failure.code) ? noLeader(groupId) : failure, lastUnknown);
      }
      await this.waitForChange(groupId, wait);
    }
  }

  /** Once a try may have happened, a later refusal does not say that nothing did. */
  private verdict(failure: DwError, lastUnknown: DwError | undefined): DwError {
    return lastUnknown ?? failure;
  }

  private async waitForChange(groupId: string, ms: number): Promise<void> {
    if (this.waiters.size >= this.limits().maxQueueDepth) throw noLeader(groupId);
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        timer.cancel();
        this.waiters.delete(wake);
        resolve();
      };
      const timer = this.clock.setTimeout(wake, ms);
      this.waiters.add(wake);
    });
  }

  private receive(from: string, payload: Buffer): void {
    try {
      // The payload is lent for this call. Requests live on, so they get a copy; replies are copied one by one.
      const frame = decodeForwardFrame(holdsRequests(payload) ? Buffer.from(payload) : payload);
      if (frame.kind === 'replies') this.client.onReplies(from, frame.replies);
      else this.server.onRequests(from, frame.requests);
    } catch (error) {
      if (!isDwError(error, 'frame-malformed')) throw error;
      this.malformedFrames++;
      if (this.malformedFrames > MAX_LOGGED_FRAMES) return;
      this.log.warn({ peer: from, reason: errorMessage(error) }, 'refused a frame of forwarded requests');
    }
  }
}
