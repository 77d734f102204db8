// The requests to one peer that wait for their reply. Each settles exactly once: by its reply, its deadline, its
// signal, or the end of its connection. One timer serves them all, armed for the nearest deadline.

import type { Clock, TimerHandle, TransportLane } from '@datawarehouse/sdk';
import type { Connection } from '../connection/connection.js';
import { peerDisconnected, peerTimeout, peerUnreachable } from '../errors.js';
import { FrameType } from '../wire/frame.js';
import { EMPTY } from '../wire/frame.js';

/** A request under way. */
export interface PendingRequest {
  readonly connection: Connection;
  readonly lane: TransportLane;
  readonly channel: string;
  /** Where its frame starts in the connection's outgoing stream: before it was handed over, nobody can have seen it. */
  readonly position: number;
  readonly timeoutMs: number;
  /** Clock.now() at which it is given up. */
  readonly deadline: number;
  readonly resolve: (reply: Buffer) => void;
  readonly reject: (error: Error) => void;
  readonly signal: AbortSignal | undefined;
}

interface Entry extends PendingRequest {
  readonly onAbort: (() => void) | undefined;
}

/** Correlates replies with requests. */
export class PendingRequests {
  /** Replies to requests that were given up, since it was made. */
  lateReplies = 0;
  private readonly entries = new Map<number, Entry>();
  private readonly counts: Record<TransportLane, number> = { control: 0, bulk: 0 };
  private lastCorrelation = 0;
  private timer: { readonly handle: TimerHandle; readonly at: number } | undefined;

  constructor(
    private readonly peer: string,
    private readonly clock: Clock,
  ) {}

  /** Requests under way in a lane. */
  count(lane: TransportLane): number {
    return this.counts[lane];
  }

  /** A correlation id that no request of this peer has had. */
  nextCorrelation(): number {
    return ++this.lastCorrelation;
  }

  /** Whether a request of this peer has had this correlation id. */
  hasUsed(correlation: number): boolean {
    return correlation >= 1 && correlation <= this.lastCorrelation;
  }

  /** Starts to wait for a reply. */
  add(correlation: number, request: PendingRequest): void {
    const { signal } = request;
    const onAbort =
      signal === undefined ? undefined : (): void => this.abandon(correlation, signal.reason as Error);
    if (onAbort !== undefined) signal?.addEventListener('abort', onAbort, { once: true });
    this.entries.set(correlation, { ...request, onAbort });
    this.counts[request.lane]++;
    request.connection.pendingRequests++;
    this.armFor(request.deadline);
  }

  /** Takes the request that a reply on this connection belongs to; undefined when it was given up. */
  take(correlation: number, connection: Connection): PendingRequest | undefined {
    const entry = this.entries.get(correlation);
    if (entry === undefined || entry.connection !== connection) {
      this.lateReplies++;
      return undefined;
    }
    this.remove(correlation, entry);
    return entry;
  }

  /** Fails every request of a connection that is gone. */
  connectionLost(connection: Connection, why: string): void {
    if (connection.pendingRequests === 0) return;
    // One error for each kind: thousands of requests may fail here at once.
    const handed = connection.handedBytes;
    const disconnected = peerDisconnected(this.peer, why);
    const undelivered = peerUnreachable(this.peer, why);
    for (const [correlation, entry] of this.entries) {
      if (entry.connection !== connection) continue;
      this.remove(correlation, entry);
      entry.reject(entry.position >= handed ? undelivered : disconnected);
    }
  }

  /** Stops the timer. Requests still under way must have failed before. */
  close(): void {
    this.timer?.handle.cancel();
    this.timer = undefined;
  }

  private remove(correlation: number, entry: Entry): void {
    this.entries.delete(correlation);
    this.counts[entry.lane]--;
    entry.connection.pendingRequests--;
    if (entry.onAbort !== undefined) entry.signal?.removeEventListener('abort', entry.onAbort);
  }

  private abandon(correlation: number, error: Error): void {
    const entry = this.entries.get(correlation);
    if (entry === undefined) return;
    this.remove(correlation, entry);
    // The peer may stop working on it. If the connection is closed it has heard enough.
    entry.connection.send(FrameType.cancel, correlation, EMPTY);
    entry.reject(error);
  }

  private armFor(deadline: number): void {
    if (this.timer !== undefined && this.timer.at <= deadline) return;
    this.timer?.handle.cancel();
    const handle = this.clock.setTimeout(this.expire, Math.max(0, deadline - this.clock.now()));
    this.timer = { handle, at: deadline };
  }

  private readonly expire = (): void => {
    this.timer = undefined;
    // Timers may fire a fraction of a millisecond early; what is due within one is due.
    const now = this.clock.now() + 1;
    let nearest = Infinity;
    for (const [correlation, entry] of this.entries) {
      if (entry.deadline <= now) {
        this.abandon(correlation, peerTimeout(this.peer, entry.channel, entry.timeoutMs));
      } else nearest = Math.min(nearest, entry.deadline);
    }
    if (nearest !== Infinity) this.armFor(nearest);
  };
}
