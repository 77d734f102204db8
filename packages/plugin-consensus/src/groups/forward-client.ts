// Sends requests of clients to other nodes and settles each exactly once: with its answer, or with what is known when
// none comes. All requests of a turn to one peer share one frame. They travel on the bulk lane, so that however many
// clients there are, Raft's own messages have a queue to themselves.

import type { Clock, DwError, IPeerTransport } from '@datawarehouse/sdk';
import { DwError as Failure, isDwError } from '@datawarehouse/sdk';
import { randomInt } from 'node:crypto';
import { overloaded, requestAborted } from '../errors.js';
import type { ForwardOperation, ForwardReply, ForwardRequest } from './forward-codec.js';
import { FORWARD_CHANNEL, ForwardFrame, decodeError } from './forward-codec.js';
import type { PeerCalls } from './peer-calls/peer-calls.js';

const MAX_FRAME_BYTES = 512 * 1_024;
/** The other side answers by the deadline itself; this much later its answer is taken for lost. */
const GRACE_MS = 250;
const SWEEP_MS = 50;

interface Waiting {
  readonly peer: string;
  readonly bytes: number;
  readonly expires: number;
  readonly resolve: (body: Uint8Array) => void;
  readonly reject: (error: DwError) => void;
}

/** Bounds of a {@link ForwardClient}; asked at each request. */
export interface ForwardLimits {
  readonly maxConcurrentOperations: number;
  readonly maxPendingProposalBytes: number;
}

/** It was sent, and its answer went with the connection: it may have been handled. */
export function answerLost(peer: string, why: string): DwError {
  return new Failure({
    code: 'answer-lost',
    message: `No answer came from ${peer}: ${why}`,
    retryable: true,
    retryAfterMs: 250,
    status: 503,
  });
}

/** It was sent, and no answer came in time: it may have been handled. */
export function answerOverdue(peer: string, why: string): DwError {
  return new Failure({
    code: 'answer-overdue',
    message: `No answer came from ${peer}: ${why}`,
    retryable: true,
    retryAfterMs: 250,
    status: 504,
  });
}

/** Whether it says that a request was sent, and that nothing is known of what became of it. */
export function isAnswerMissing(error: unknown): error is DwError {
  return isDwError(error, 'answer-lost') || isDwError(error, 'answer-overdue');
}

function notDelivered(peer: string): DwError {
  return new Failure({
    code: 'peer-unreachable',
    message: `The request could not be delivered to ${peer}; it did nothing`,
    retryable: true,
    retryAfterMs: 100,
    status: 503,
  });
}

/** Requests under way to other nodes. */
export class ForwardClient {
  private readonly waiting = new Map<number, Waiting>();
  private readonly outgoing = new Map<string, ForwardRequest[]>();
  private scheduled = false;
  private pendingBytes = 0;
  /** Set while anybody waits. */
  private timer: { cancel(): void } | undefined;
  private nextId: number;

  constructor(
    private readonly transport: IPeerTransport,
    private readonly clock: Clock,
    private readonly limits: () => ForwardLimits,
    /** The ids count from here: answers to another life of this node must find nobody. */
    firstId: number = randomInt(2 ** 40),
    /** Makes requests under a policy. Default: they are made as they are. */
    private readonly calls?: PeerCalls,
  ) {
    this.nextId = firstId;
  }

  /** Requests under way. */
  get size(): number {
    return this.waiting.size;
  }

  /**
   * Sends a request and resolves with the answer's body.
   * @param deadline Clock time up to which an answer is wanted.
   * @param mayRelay Whether the peer may pass a write on to the leader.
   * @throws DwError `peer-unreachable` or `overloaded`: it was not sent; `answer-lost`, `answer-overdue`: it may have
   * been handled; a rejection of the policy: it was not handled; the error that the peer answered with.
   */
  request(
    peer: string,
    operation: ForwardOperation,
    groupId: string,
    body: Uint8Array,
    deadline: number,
    mayRelay = false,
  ): Promise<Uint8Array> {
    const send = (): Promise<Uint8Array> => this.ask(peer, operation, groupId, body, deadline, mayRelay);
    if (this.calls === undefined) return send();
    const lost = (why: string): DwError => answerOverdue(peer, why);
    return this.calls.call({ peer, send, repeatable: !isProposal(operation), lost }, deadline);
  }

  private ask(
    peer: string,
    operation: ForwardOperation,
    groupId: string,
    body: Uint8Array,
    deadline: number,
    mayRelay: boolean,
  ): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const { maxConcurrentOperations, maxPendingProposalBytes } = this.limits();
      if (this.waiting.size >= maxConcurrentOperations) {
        reject(overloaded('forwarded requests', 'maxConcurrentOperations', 500));
        return;
      }
      if (this.pendingBytes > 0 && this.pendingBytes + body.length > maxPendingProposalBytes) {
        reject(overloaded('bytes of forwarded requests', 'maxPendingProposalBytes', 500));
        return;
      }
      const id = ++this.nextId;
      const remainingMs = deadline - this.clock.now();
      this.waiting.set(id, { peer, bytes: body.length, expires: deadline + GRACE_MS, resolve, reject });
      this.pendingBytes += body.length;
      this.sweepLater();
      const queue = this.outgoing.get(peer);
      const request = { id, operation, groupId, remainingMs, mayRelay, body };
      if (queue === undefined) this.outgoing.set(peer, [request]);
      else queue.push(request);
      if (this.scheduled) return;
      this.scheduled = true;
      // After the promises of this turn, so that they share a frame, and before the transport writes what it has.
      process.nextTick(() => this.flush());
    });
  }

  /** Takes the replies of a peer. Those that nobody waits for are ignored. */
  onReplies(from: string, replies: readonly ForwardReply[]): void {
    for (const { id, ok, body } of replies) {
      const waiting = this.waiting.get(id);
      if (waiting === undefined || waiting.peer !== from) continue;
      this.forget(id, waiting);
      // The frame is lent for the call.
      if (ok) waiting.resolve(Buffer.from(body));
      else waiting.reject(decodeError(body));
    }
  }

  /** The connection to a peer is gone, and answers with it. */
  onDisconnected(peer: string): void {
    this.failAll((waiting) => waiting.peer === peer, 'the connection was lost');
  }

  /** Fails everything under way. */
  stop(): void {
    this.timer?.cancel();
    for (const requests of this.outgoing.values()) {
      for (const request of requests) this.refuse(request, requestAborted());
    }
    this.outgoing.clear();
    this.failAll(() => true, 'this node stopped');
  }

  private flush(): void {
    this.scheduled = false;
    for (const [peer, requests] of this.outgoing) {
      let frame = new ForwardFrame('requests');
      let inFrame: ForwardRequest[] = [];
      for (const request of requests) {
        if (inFrame.length > 0 && frame.bytes + request.body.length > MAX_FRAME_BYTES) {
          this.send(peer, frame, inFrame);
          frame = new ForwardFrame('requests');
          inFrame = [];
        }
        frame.addRequest(request);
        inFrame.push(request);
      }
      this.send(peer, frame, inFrame);
    }
    this.outgoing.clear();
  }

  private send(peer: string, frame: ForwardFrame, requests: readonly ForwardRequest[]): void {
    try {
      if (this.transport.send(peer, FORWARD_CHANNEL, frame.finish(), 'bulk')) return;
      for (const request of requests) this.refuse(request, notDelivered(peer));
    } catch (error) {
      if (!isDwError(error)) throw error;
      // Who was a member when the request was made, and is none any more, cannot be reached.
      const refusal = isDwError(error, 'peer-unknown') ? notDelivered(peer) : error;
      for (const request of requests) this.refuse(request, refusal);
    }
  }

  private refuse({ id }: ForwardRequest, error: DwError): void {
    const waiting = this.waiting.get(id);
    if (waiting === undefined) return;
    this.forget(id, waiting);
    waiting.reject(error);
  }

  private sweepLater(): void {
    this.timer ??= this.clock.setTimeout(() => {
      this.timer = undefined;
      this.expire();
      if (this.waiting.size > 0) this.sweepLater();
    }, SWEEP_MS);
  }

  private expire(): void {
    const now = this.clock.now();
    this.failAll((waiting) => waiting.expires <= now, 'it did not come in time', answerOverdue);
  }

  private failAll(which: (waiting: Waiting) => boolean, why: string, error = answerLost): void {
    for (const [id, waiting] of this.waiting) {
      if (!which(waiting)) continue;
      this.forget(id, waiting);
      waiting.reject(error(waiting.peer, why));
    }
  }

  private forget(id: number, waiting: Waiting): void {
    this.waiting.delete(id);
    this.pendingBytes -= waiting.bytes;
  }
}

/** Whether it may change something, so that it must not be made twice. */
function isProposal(operation: ForwardOperation): boolean {
  return operation.startsWith('propose-');
}
