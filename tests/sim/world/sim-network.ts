// The network of a simulation. It keeps what the transport contract promises and no more: messages arrive at most once
// and in order on their lane while a connection holds, or not at all. Raft's own messages may also come twice and late,
// because the core promises to cope with any network; but not behind a request or an answer that was sent after them on
// their lane, because replicas are emptied by requests.

import type { RttStatistics, TransportLane } from '@datawarehouse/sdk';
import type { Prng } from './prng.js';
import type { Owner, Scheduler } from './scheduler.js';
import type { Frame, SimTransport } from './sim-transport.js';
import { type Trace, hashBytes } from './trace.js';

/** Channel whose messages may be repeated and overtake each other. */
const RAFT_CHANNEL = 'dw.raft';
/** Messages that one lane holds at most. */
const LANE_CAPACITY = 2_000;

/** One direction between two nodes. */
interface Link {
  cut: boolean;
  /** Whether both ends hold the connection for lost; the same in both directions. */
  down: boolean;
  /** Probability that a message is lost. */
  loss: number;
  /** Whether a part of a request was lost: a connection does not live on with such a hole when others come through. */
  holed: boolean;
  /** Ms for a message, and how much more it may be. */
  delay: number;
  jitter: number;
  /** When the last message of each lane arrives: the next is not before it. */
  readonly busyUntil: Record<TransportLane, number>;
  readonly queued: Record<TransportLane, number>;
  /** Requests, answers and the like that were sent, and those that arrived or were lost: no message is late behind them. */
  readonly sent: Record<TransportLane, number>;
  readonly passed: Record<TransportLane, number>;
  /** What the trace says of each kind of frame. */
  readonly label: Readonly<Record<Frame['kind'], string>>;
}

/** What a message network does on top of losing messages. */
export interface NetworkMischief {
  /** Probability that a Raft message comes a second time. */
  repeat: number;
  /** Probability that a Raft message is overtaken by later ones. */
  overtake: number;
}

/** The links between all nodes, and who is there. */
export class SimNetwork {
  readonly mischief: NetworkMischief = { repeat: 0, overtake: 0 };
  /** By sender, then receiver. */
  private readonly links = new Map<string, Map<string, Link>>();
  private readonly open = new Map<string, SimTransport>();

  constructor(
    readonly nodes: readonly string[],
    readonly scheduler: Scheduler,
    private readonly owner: Owner,
    private readonly trace: Trace,
    private readonly prng: Prng,
  ) {
    for (const from of nodes) {
      const others = nodes.filter((to) => to !== from);
      this.links.set(from, new Map(others.map((to) => [to, newLink(to)])));
    }
  }

  /** A node's transport joins; peers see it after a moment. */
  join(transport: SimTransport): void {
    const id = transport.localId;
    this.open.set(id, transport);
    for (const peer of this.others(id)) {
      const { queued, sent, passed } = this.link(peer, id);
      for (const counts of [queued, sent, passed]) Object.assign(counts, { control: 0, bulk: 0 });
    }
    for (const peer of this.others(id)) {
      this.disconnect(id, peer);
      this.reconnectLater(id, peer);
    }
  }

  /** A node is gone. Its peers see the connection end, at once or after a while. */
  leave(id: string): void {
    const transport = this.open.get(id);
    if (transport === undefined) return;
    this.open.delete(id);
    for (const peer of this.others(id)) {
      this.after(this.prng.pick([0.2, 1, 300]), 'peer gone', () => {
        if (!this.open.has(id)) this.disconnect(id, peer);
      });
    }
  }

  /** Changes the link from one node to another. Cut for longer than a moment, both ends lose the connection. */
  shape(from: string, to: string, change: Partial<Pick<Link, 'cut' | 'loss' | 'delay' | 'jitter'>>): void {
    const link = this.link(from, to);
    const wasCut = link.cut;
    Object.assign(link, change);
    if (link.cut && !wasCut) {
      this.after(this.prng.between(50, 1_500), 'link silent', () => {
        if (this.link(from, to).cut) this.disconnect(from, to);
      });
    } else if (!link.cut && wasCut) this.reconnectLater(from, to);
    if (!link.cut && link.loss === 0 && link.holed) this.reset(from, to);
  }

  /** The connection between two nodes ends; unless the link is cut it comes back soon. */
  reset(a: string, b: string): void {
    this.disconnect(a, b);
    this.reconnectLater(a, b);
  }

  /** All links as they were in the beginning. */
  heal(nodes: readonly string[] = this.nodes): void {
    Object.assign(this.mischief, { repeat: 0, overtake: 0 });
    for (const from of nodes) {
      for (const to of nodes) {
        if (from !== to) this.shape(from, to, { cut: false, loss: 0, delay: 0.3, jitter: 0.4 });
      }
    }
  }

  isConnected(a: string, b: string): boolean {
    return this.open.has(a) && !this.link(a, b).down;
  }

  /** What a node measures of its way to a peer and back. */
  rtt(a: string, b: string): RttStatistics | undefined {
    if (!this.isConnected(a, b)) return undefined;
    const [there, back] = [this.link(a, b), this.link(b, a)];
    const least = there.delay + back.delay;
    return { samples: 100, p50Ms: least, p99Ms: least + there.jitter + back.jitter, latestMs: least };
  }

  others(id: string): readonly string[] {
    return this.nodes.filter((node) => node !== id);
  }

  /** Takes a frame for delivery. @returns false when the lane is full. */
  carry(from: SimTransport, to: string, lane: TransportLane, frame: Frame): boolean {
    const { localId } = from;
    const link = this.link(localId, to);
    if (link.queued[lane] >= LANE_CAPACITY) return false;
    const bytes = 'payload' in frame ? frame.payload : EMPTY;
    this.trace.add(this.scheduler.now, localId, link.label[frame.kind], bytes.length, hashBytes(bytes));
    if (link.cut || (link.loss > 0 && this.prng.chance(link.loss))) return this.lose(link, frame);
    const raft = frame.kind === 'message' && frame.channel === RAFT_CHANNEL;
    if (raft && this.mischief.repeat > 0 && this.prng.chance(this.mischief.repeat)) {
      this.deliver(from, to, link, lane, copyOf(frame), this.prng.between(0, 2 * link.delay + 400));
    }
    const flight = link.delay + this.prng.unit() * link.jitter;
    if (raft && this.mischief.overtake > 0 && this.prng.chance(this.mischief.overtake)) {
      this.deliver(from, to, link, lane, frame, flight + this.prng.between(0, 200));
      return true;
    }
    const { now } = this.scheduler;
    // Bulk goes at some tens of megabytes a second.
    const arrives = Math.max(link.busyUntil[lane], now + flight + bytes.length / 50_000);
    link.busyUntil[lane] = arrives;
    this.deliver(from, to, link, lane, frame, arrives - now);
    return true;
  }

  private deliver(
    from: SimTransport,
    to: string,
    link: Link,
    lane: TransportLane,
    frame: Frame,
    delay: number,
  ): void {
    const receiver = this.open.get(to);
    if (receiver === undefined) return;
    const { queued, sent, passed } = link;
    queued[lane]++;
    const ahead = sent[lane];
    if (frame.kind !== 'message') sent[lane]++;
    // In the receiver's own time: a process that is paused takes nothing in. One that has ended never does.
    this.scheduler.schedule(receiver.owner, delay, 'receive', () => {
      queued[lane] = Math.max(0, queued[lane] - 1);
      if (frame.kind !== 'message') passed[lane]++;
      else if (passed[lane] > ahead) return;
      if (this.open.get(to) !== receiver || link.down) return;
      if (link.cut) this.lose(link, frame);
      else receiver.receive(from.localId, lane, frame);
    });
  }

  /** A frame does not arrive, and the connection holds so far. */
  private lose(link: Link, { kind }: Frame): true {
    if (kind !== 'message') link.holed = true;
    return true;
  }

  private reconnectLater(a: string, b: string): void {
    this.after(this.prng.between(5, 200), 'connect', () => {
      const met = this.open.get(a)?.knows(b) === true && this.open.get(b)?.knows(a) === true;
      const [there, back] = [this.link(a, b), this.link(b, a)];
      if (!met || there.cut || back.cut || !there.down) return;
      there.down = back.down = false;
      this.tell(a, b, 'connected');
      this.tell(b, a, 'connected');
    });
  }

  private disconnect(a: string, b: string): void {
    const [there, back] = [this.link(a, b), this.link(b, a)];
    if (there.down) return;
    there.down = back.down = true;
    there.holed = back.holed = false;
    this.tell(a, b, 'disconnected');
    this.tell(b, a, 'disconnected');
  }

  private tell(id: string, peer: string, state: 'connected' | 'disconnected'): void {
    const transport = this.open.get(id);
    if (transport === undefined) return;
    this.scheduler.schedule(transport.owner, 0, `${state} ${peer}`, () => {
      // It may have been dismissed meanwhile.
      if (state === 'disconnected' || transport.knows(peer)) transport.peerChanged(peer, state);
    });
  }

  private after(delay: number, what: string, run: () => void): void {
    this.scheduler.schedule(this.owner, delay, what, run);
  }

  private link(from: string, to: string): Link {
    const link = this.links.get(from)?.get(to);
    if (link === undefined) throw new Error(`there is no link from ${from} to ${to}`);
    return link;
  }
}

const EMPTY = new Uint8Array(0);

function newLink(to: string): Link {
  return {
    label: {
      message: `send message to ${to}`,
      request: `send request to ${to}`,
      cancel: `send cancel to ${to}`,
      reply: `send reply to ${to}`,
      error: `send error to ${to}`,
    },
    cut: false,
    down: false,
    loss: 0,
    holed: false,
    delay: 0.3,
    jitter: 0.4,
    busyUntil: { control: 0, bulk: 0 },
    queued: { control: 0, bulk: 0 },
    sent: { control: 0, bulk: 0 },
    passed: { control: 0, bulk: 0 },
  };
}

/** The receiver spoils what it was lent. */
function copyOf(frame: Frame): Frame {
  return 'payload' in frame ? { ...frame, payload: Buffer.from(frame.payload) } : frame;
}
