// A network without sockets, for tests: the transports of several nodes in one process, with delivery in the test's
// hand. It keeps the promises of the transport contract and no more: what may be lost can be made to be lost.

import type { RttStatistics, TransportLane } from '../network/index.js';
import type { Clock } from '../time/index.js';
import { SystemClock } from '../time/index.js';
import { peerUnknown, peerUnreachable } from './errors.js';
import type { Envelope, Frame } from './memory-link.js';
import { MemoryLink } from './memory-link.js';
import { MemoryTransport } from './memory-transport.js';

/** A frame that waits for delivery, as drop rules and tests see it. */
export interface PendingFrame {
  readonly from: string;
  readonly to: string;
  readonly lane: TransportLane;
  readonly sequence: number;
  readonly kind: Frame['kind'];
  /** Undefined for replies, errors and cancellations. */
  readonly channel: string | undefined;
  readonly bytes: number;
}

/** Options of a {@link MemoryNetwork}. */
export interface MemoryNetworkOptions {
  /** Ids of all nodes. */
  readonly nodes: readonly string[];
  /**
   * When frames are delivered: by the test with `deliver` and `deliverAll` (`manual`), or by themselves in a
   * microtask or in the next turn of the event loop (`immediate`, the default).
   */
  readonly delivery?: 'manual' | 'microtask' | 'immediate';
  /** For request timeouts. Default: the machine's clock. */
  readonly clock?: Clock;
  /** Frames that wait on one lane from one node to another at most. Default 10 000. */
  readonly queueCapacity?: number;
  /** Largest message in bytes. Default 16 MiB. */
  readonly maxFrameBytes?: number;
  /**
   * Told of what message handlers throw. Left out: with manual delivery it comes out of `deliver`, otherwise it
   * becomes an uncaught exception, so that no failure is missed.
   */
  readonly onHandlerError?: (thrown: unknown, frame: PendingFrame) => void;
}

/** Says of a frame that is about to be delivered whether it is lost instead. */
export type DropRule = (frame: PendingFrame) => boolean;

const LANES: readonly TransportLane[] = ['control', 'bulk'];

/** Joins the transports of several nodes in one process. */
export class MemoryNetwork {
  readonly clock: Clock;
  readonly maxFrameBytes: number;
  private readonly nodes: readonly string[];
  private readonly delivery: 'manual' | 'microtask' | 'immediate';
  private readonly onHandlerError: ((thrown: unknown, frame: PendingFrame) => void) | undefined;
  private readonly links = new Map<string, MemoryLink>();
  private readonly transports = new Map<string, MemoryTransport>();
  private readonly cuts = new Set<string>();
  private readonly rules = new Set<DropRule>();
  private readonly rtts = new Map<string, RttStatistics>();
  private sequence = 0;
  private scheduled = false;
  private lostFrames = 0;

  constructor(options: MemoryNetworkOptions) {
    this.nodes = [...options.nodes];
    this.delivery = options.delivery ?? 'immediate';
    this.clock = options.clock ?? new SystemClock(false);
    this.maxFrameBytes = options.maxFrameBytes ?? 16 * 1024 * 1024;
    this.onHandlerError = options.onHandlerError;
    const capacity = options.queueCapacity ?? 10_000;
    for (const from of this.nodes) {
      for (const to of this.nodes) {
        if (from === to) continue;
        for (const lane of LANES) {
          this.links.set(linkKey(from, to, lane), new MemoryLink(from, to, lane, capacity));
        }
      }
    }
  }

  /** Frames lost to partitions, drop rules, closed nodes and messages nobody handles. */
  get lost(): number {
    return this.lostFrames;
  }

  /**
   * The transport of a node: the one that is open, or a new one. Close it to crash the node; ask again to start it.
   * @throws DwError `peer-unknown` for a node that the network was not made with.
   */
  transport(id: string): MemoryTransport {
    if (!this.nodes.includes(id)) throw peerUnknown('the memory network', id);
    const open = this.transports.get(id);
    if (open !== undefined) return open;
    const transport = new MemoryTransport(id, this);
    const before = this.connectedPairs();
    this.transports.set(id, transport);
    this.announce(before);
    return transport;
  }

  /** The frames that wait, oldest first. */
  pending(): readonly PendingFrame[] {
    const frames: PendingFrame[] = [];
    for (const link of this.links.values())
      for (const envelope of link.entries()) frames.push(describe(envelope));
    return frames.sort((a, b) => a.sequence - b.sequence);
  }

  /**
   * Delivers one frame: the oldest, or the oldest that `choose` picks by index among the heads of all links (so
   * that a test can reorder links against each other, never frames on one link).
   * @returns whether there was one.
   * @throws what a message handler threw, if delivery is manual and `onHandlerError` was left out.
   */
  deliver(choose?: (heads: readonly PendingFrame[]) => number): boolean {
    const heads = [...this.links.values()].flatMap((link) => (link.head === undefined ? [] : [link.head]));
    if (heads.length === 0) return false;
    heads.sort((a, b) => a.sequence - b.sequence);
    const chosen = heads[choose === undefined ? 0 : choose(heads.map(describe))] ?? heads[0];
    if (chosen !== undefined) this.deliverFrom(chosen);
    return true;
  }

  /**
   * Delivers until nothing waits, also what is sent meanwhile from within handlers. What a handler sends after a
   * promise waits for the next call.
   * @returns how many frames were delivered or lost.
   * @throws Error when `limit` frames did not suffice: two handlers answer each other for ever.
   */
  deliverAll(limit: number = 100_000): number {
    let count = 0;
    while (this.deliver()) {
      if (++count > limit)
        throw new Error(`still not quiet after ${limit} frames: handlers answer each other`);
    }
    return count;
  }

  /** Cuts the connection between any of `a` and any of `b`. What is under way between them is lost. */
  partition(a: string | readonly string[], b: string | readonly string[]): void {
    const before = this.connectedPairs();
    for (const x of [a].flat()) for (const y of [b].flat()) this.cuts.add(pairKey(x, y));
    this.announce(before);
  }

  /** Joins what was cut: between `a` and `b`, of `a` with all, or all of it. */
  heal(a?: string | readonly string[], b?: string | readonly string[]): void {
    const before = this.connectedPairs();
    const ones = a === undefined ? this.nodes : [a].flat();
    const others = b === undefined ? this.nodes : [b].flat();
    for (const x of ones) for (const y of others) this.cuts.delete(pairKey(x, y));
    this.announce(before);
  }

  /** Loses each frame of which `rule` says so, as it would be delivered. Dispose of what it returns to stop. */
  dropWhen(rule: DropRule): Disposable {
    this.rules.add(rule);
    return { [Symbol.dispose]: () => void this.rules.delete(rule) };
  }

  /** Sets the round-trip times that both nodes see of each other. */
  setRtt(a: string, b: string, rtt: RttStatistics | undefined): void {
    if (rtt === undefined) this.rtts.delete(pairKey(a, b));
    else this.rtts.set(pairKey(a, b), rtt);
  }

  /** Closes all transports. */
  close(): void {
    for (const transport of this.transports.values()) transport.close();
  }

  /** @internal For {@link MemoryTransport}. */
  peersOf(id: string): readonly string[] {
    return this.nodes.filter((node) => node !== id);
  }

  /** @internal For {@link MemoryTransport}. */
  rttOf(a: string, b: string): RttStatistics | undefined {
    return this.rtts.get(pairKey(a, b));
  }

  /** @internal For {@link MemoryTransport}. */
  isConnected(a: string, b: string): boolean {
    return this.transports.has(a) && this.transports.has(b) && !this.cuts.has(pairKey(a, b));
  }

  /** @internal For {@link MemoryTransport}. @throws DwError `peer-unknown`. */
  link(from: string, to: string, lane: TransportLane): MemoryLink {
    const link = this.links.get(linkKey(from, to, lane));
    if (link === undefined) throw peerUnknown(from, to);
    return link;
  }

  /** @internal For {@link MemoryTransport}. @returns false when the queue is full; the nodes must be connected. */
  enqueue(link: MemoryLink, frame: Frame): boolean {
    const { from, to, lane } = link;
    if (!link.push({ from, to, lane, frame, sequence: ++this.sequence })) return false;
    this.schedule();
    return true;
  }

  /** @internal For {@link MemoryTransport}. */
  remove(transport: MemoryTransport): void {
    if (this.transports.get(transport.localId) !== transport) return;
    const before = this.connectedPairs();
    this.transports.delete(transport.localId);
    this.announce(before);
  }

  /** @internal For {@link MemoryTransport}: a message that nobody handles. */
  countLost(): void {
    this.lostFrames++;
  }

  private deliverFrom(envelope: Envelope): void {
    this.link(envelope.from, envelope.to, envelope.lane).shift();
    const frame = describe(envelope);
    const target = this.transports.get(envelope.to);
    if (target === undefined || [...this.rules].some((rule) => rule(frame))) {
      this.lostFrames++;
      return;
    }
    try {
      target.receive(envelope.from, envelope.lane, envelope.frame);
    } catch (thrown) {
      if (this.onHandlerError === undefined) throw thrown;
      this.onHandlerError(thrown, frame);
    }
  }

  private schedule(): void {
    if (this.delivery === 'manual' || this.scheduled) return;
    this.scheduled = true;
    if (this.delivery === 'microtask') queueMicrotask(() => this.deliverScheduled());
    else setImmediate(() => this.deliverScheduled());
  }

  /** Delivers what waits now. What that leads to comes in a round of its own, so that timers and I/O get their turn. */
  private deliverScheduled(): void {
    this.scheduled = false;
    for (const frame of this.pending()) {
      const head = this.link(frame.from, frame.to, frame.lane).head;
      // A handler may have cut a connection meanwhile: what waited there is gone.
      if (head?.sequence !== frame.sequence) continue;
      try {
        this.deliverFrom(head);
      } catch (thrown) {
        // The rest of the round must not be lost with the one whose handler threw.
        this.schedule();
        throw thrown;
      }
    }
  }

  private connectedPairs(): ReadonlySet<string> {
    const pairs = new Set<string>();
    for (const a of this.nodes)
      for (const b of this.nodes) if (a < b && this.isConnected(a, b)) pairs.add(pairKey(a, b));
    return pairs;
  }

  /** Loses what was under way between nodes that are connected no longer, then tells both ends of every change. */
  private announce(before: ReadonlySet<string>): void {
    const now = this.connectedPairs();
    for (const a of this.nodes) {
      for (const b of this.nodes) {
        const pair = pairKey(a, b);
        if (a === b || before.has(pair) === now.has(pair)) continue;
        if (!now.has(pair)) {
          for (const lane of LANES) this.lostFrames += this.link(a, b, lane).clear(peerUnreachable(a, b));
        }
        this.transports.get(a)?.peerChanged(b, now.has(pair) ? 'connected' : 'disconnected');
      }
    }
  }
}

function linkKey(from: string, to: string, lane: TransportLane): string {
  return JSON.stringify([from, to, lane]);
}

function pairKey(a: string, b: string): string {
  return JSON.stringify(a < b ? [a, b] : [b, a]);
}

function describe(envelope: Envelope): PendingFrame {
  const { from, to, lane, sequence, frame } = envelope;
  return {
    from,
    to,
    lane,
    sequence,
    kind: frame.kind,
    channel: 'channel' in frame ? frame.channel : undefined,
    bytes: 'payload' in frame ? frame.payload.length : 0,
  };
}
