// The Raft messages of a turn, gathered by peer: one frame for each peer carries those of all groups, so heartbeats of
// many groups cost one send.
//
// An append without entries tells a follower what is committed, and nothing waits for it: where writes go on, the next
// append with entries tells the same. So it is held back until the next tick and dropped when such an append comes: a
// write then costs each follower one message and one answer instead of two.

import type { IPeerTransport } from '@datawarehouse/sdk';
import { isDwError } from '@datawarehouse/sdk';
import { entriesBytes } from '../raft/entry-size.js';
import type { Message } from '../raft/types.js';
import { MessageFrame } from './message-codec.js';

/** Channel of Raft messages. */
export const RAFT_CHANNEL = 'dw.raft';

/** A frame that holds something is not filled beyond this; one message alone may be larger. */
const MAX_FRAME_BYTES = 1024 * 1024;

/** Frames kept for the next turn; they would be a buffer or more for the collector each time. */
const MAX_SPARES = 16;

interface Outgoing {
  readonly frame: MessageFrame;
  /** Groups of which the frame holds entries: they must hear if it is lost. */
  readonly withEntries: Set<string>;
}

/** Collects and sends a node's Raft messages. */
export class PeerOutbox {
  private readonly outgoing = new Map<string, Outgoing>();
  private readonly spares: Outgoing[] = [];
  /** Appends without entries by peer and group: at most one for each, the newest. */
  private readonly held = new Map<string, Map<string, Message>>();
  private lostFrames = 0;
  private appendCount = 0;

  /** @param onLost Told of groups whose entries did not go out to a peer. */
  constructor(
    private readonly transport: IPeerTransport,
    private readonly onLost: (peer: string, groupId: string) => void,
  ) {}

  /** Frames that the transport did not take. */
  get lost(): number {
    return this.lostFrames;
  }

  /** Messages with entries that were added. */
  get appends(): number {
    return this.appendCount;
  }

  /** Whether something is held back until {@link release}. */
  get holds(): boolean {
    for (const messages of this.held.values()) if (messages.size > 0) return true;
    return false;
  }

  /** Adds a message; it goes out with the next {@link flush}, an append without entries after {@link release}. */
  add(groupId: string, message: Message): void {
    if (message.type === 'append') {
      if (message.entries.length === 0) {
        this.hold(groupId, message);
        return;
      }
      this.held.get(message.to)?.delete(groupId);
    }
    this.put(groupId, message);
  }

  /** Puts what was held back among what goes out with the next {@link flush}. Called at each tick. */
  release(): void {
    for (const messages of this.held.values()) {
      for (const [groupId, message] of messages) this.put(groupId, message);
      messages.clear();
    }
  }

  private hold(groupId: string, message: Message): void {
    const messages = this.held.get(message.to);
    if (messages === undefined) this.held.set(message.to, new Map([[groupId, message]]));
    else messages.set(groupId, message);
  }

  private put(groupId: string, message: Message): void {
    const { to } = message;
    let outgoing = this.outgoing.get(to);
    if (outgoing !== undefined && outgoing.frame.bytes + entriesBytes(message.entries) > MAX_FRAME_BYTES) {
      this.send(to, outgoing);
      outgoing = undefined;
    }
    if (outgoing === undefined) {
      outgoing = this.spares.pop() ?? { frame: new MessageFrame(), withEntries: new Set() };
      this.outgoing.set(to, outgoing);
    }
    outgoing.frame.add(groupId, message);
    if (message.entries.length === 0) return;
    this.appendCount++;
    outgoing.withEntries.add(groupId);
  }

  /** Sends everything. */
  flush(): void {
    if (this.outgoing.size === 0) return;
    for (const [peer, outgoing] of this.outgoing) this.send(peer, outgoing);
    this.outgoing.clear();
  }

  private send(peer: string, outgoing: Outgoing): void {
    const { frame, withEntries } = outgoing;
    if (!this.take(peer, frame)) {
      this.lostFrames++;
      for (const groupId of withEntries) this.onLost(peer, groupId);
    }
    if (this.spares.length >= MAX_SPARES) return;
    frame.restart();
    withEntries.clear();
    this.spares.push(outgoing);
  }

  private take(peer: string, frame: MessageFrame): boolean {
    try {
      return this.transport.send(peer, RAFT_CHANNEL, frame.finish(), 'control');
    } catch (error) {
      // A member that is not in this node's configuration, or an entry above the transport's limit, is as good as a
      // peer that cannot be reached: the group goes on without it.
      if (isDwError(error, 'peer-unknown') || isDwError(error, 'frame-too-large')) return false;
      throw error;
    }
  }
}
