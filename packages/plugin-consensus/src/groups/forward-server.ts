// Answers what other nodes ask on behalf of their clients. The work is bounded where it is done: by the engine's budget
// of proposals and reads, which peers' Raft messages do not touch. Answers of a turn share one frame for each peer.

import type { Clock, IPeerTransport } from '@datawarehouse/sdk';
import { errorMessage } from '@datawarehouse/sdk';
import { ByteReader } from '../codec/byte-reader.js';
import { ByteWriter } from '../codec/byte-writer.js';
import type { EntryKind } from '../engine/entry-envelope.js';
import { overloaded } from '../errors.js';
import { MAX_KEY_BYTES } from '../state/command.js';
import { writeOutcome } from '../state/outcome.js';
import { keyValuesOf } from './group-key-values.js';
import type { ForwardReply, ForwardRequest } from './forward-codec.js';
import { FORWARD_CHANNEL, ForwardFrame, encodeError } from './forward-codec.js';
import type { Committed, LocalOperations } from './local-operations.js';

const MAX_FRAME_BYTES = 512 * 1_024;
/** Bytes of answers that wait for room in the transport, for each peer; beyond, they are lost and the asker times out. */
const MAX_BACKLOG_BYTES = 16 * 1024 * 1_024;
/** Requests of one frame are of one turn, so this bounds what one peer can have under way without an answer. */
const MAX_SERVING = 16_384;
const MAX_ADMIN = 16;
const EMPTY = new Uint8Array(0);

interface Outbound {
  replies: ForwardReply[];
  bytes: number;
  /** True while the transport has no room. */
  blocked: boolean;
}

/** Serves forwarded requests. */
export class ForwardServer {
  /** Answers that found no room. */
  lostReplies = 0;
  private readonly outbound = new Map<string, Outbound>();
  private scheduled = false;
  private serving = 0;
  private admin = 0;
  private stopped = false;

  constructor(
    private readonly transport: IPeerTransport,
    private readonly local: LocalOperations,
    private readonly clock: Clock,
    private readonly maxWaitMs: () => number,
    private readonly onFailure: (what: string) => void,
    /** Passes a write on to the leader for a node that cannot reach it. */
    private readonly relay: (
      groupId: string,
      kind: EntryKind,
      data: Uint8Array,
      deadline: number,
    ) => Promise<Committed>,
  ) {}

  /** Requests being served. */
  get size(): number {
    return this.serving;
  }

  /** Takes the requests of a peer. Their bodies must outlive the call. */
  onRequests(from: string, requests: readonly ForwardRequest[]): void {
    for (const request of requests) {
      if (this.serving >= MAX_SERVING) {
        const error = overloaded('forwarded requests', 'maxConcurrentOperations', 500);
        this.reply(from, { id: request.id, ok: false, body: encodeError(error) });
        continue;
      }
      this.serving++;
      this.serve(request).then(
        (body) => this.answer(from, { id: request.id, ok: true, body }),
        (error: unknown) => this.answer(from, { id: request.id, ok: false, body: encodeError(error) }),
      );
    }
  }

  /** Sends nothing any more. */
  stop(): void {
    this.stopped = true;
    this.outbound.clear();
  }

  private async serve(request: ForwardRequest): Promise<Uint8Array> {
    const { operation, groupId, body } = request;
    const deadline = this.clock.now() + Math.min(request.remainingMs, this.maxWaitMs());
    switch (operation) {
      case 'propose-command':
        return this.propose(request, 'command', deadline);
      case 'propose-opaque':
        return this.propose(request, 'opaque', deadline);
      case 'propose-session-command':
        return this.propose(request, 'session-command', deadline);
      case 'propose-keyed-command':
        return this.propose(request, 'keyed-command', deadline);
      case 'propose-open-session':
        return this.propose(request, 'open-session', deadline);
      case 'propose-close-session':
        return this.propose(request, 'close-session', deadline);
      case 'get':
        return this.get(groupId, body, deadline);
      case 'list':
        return this.list(groupId, body, deadline);
      case 'query':
        await this.local.confirm(groupId, deadline);
        return this.local.query(groupId, body);
      case 'status':
        return Buffer.from(JSON.stringify(this.local.status(groupId)));
      case 'transfer': {
        const to = new ByteReader(body, 'a transfer').text(256);
        return this.administer(() => this.local.transfer(groupId, to, deadline));
      }
      case 'snapshot':
        return this.administer(() => this.local.snapshot(groupId));
    }
  }

  private async propose(request: ForwardRequest, kind: EntryKind, deadline: number): Promise<Uint8Array> {
    const { groupId, body } = request;
    const { index, outcome } =
      request.mayRelay && !this.local.leads(groupId)
        ? await this.relay(groupId, kind, body, deadline)
        : await this.local.propose(groupId, kind, body, deadline);
    const writer = new ByteWriter(32);
    writer.varint(index);
    writeOutcome(writer, outcome);
    return writer.finish();
  }

  private async get(groupId: string, body: Uint8Array, deadline: number): Promise<Uint8Array> {
    const key = new ByteReader(body, 'a read').text(MAX_KEY_BYTES);
    const group = await this.local.confirm(groupId, deadline);
    const record = keyValuesOf(group).get(key);
    if (record === undefined) return EMPTY;
    const writer = new ByteWriter(record.value.length + 16);
    writer.varint(record.version);
    writer.raw(record.value);
    return writer.finish();
  }

  private async list(groupId: string, body: Uint8Array, deadline: number): Promise<Uint8Array> {
    const reader = new ByteReader(body, 'a list');
    const prefix = reader.text(MAX_KEY_BYTES);
    const hasAfter = reader.u8() === 1;
    const after = reader.text(MAX_KEY_BYTES);
    const limit = Math.min(reader.varint(), 1_001);
    const group = await this.local.confirm(groupId, deadline);
    const items = keyValuesOf(group).list(prefix, hasAfter ? after : undefined, limit);
    const writer = new ByteWriter(items.length * 40 + 8);
    writer.varint(items.length);
    for (const { key, version } of items) {
      writer.text(key);
      writer.varint(version);
    }
    return writer.finish();
  }

  private async administer(work: () => Promise<unknown>): Promise<Uint8Array> {
    if (this.admin >= MAX_ADMIN)
      throw overloaded('administrative requests', 'maxConcurrentOperations', 1_000);
    this.admin++;
    try {
      const result = await work();
      const writer = new ByteWriter(16);
      writer.varint(typeof result === 'number' ? result : 0);
      return writer.finish();
    } finally {
      this.admin--;
    }
  }

  private answer(to: string, reply: ForwardReply): void {
    this.serving--;
    this.reply(to, reply);
  }

  private reply(to: string, reply: ForwardReply): void {
    if (this.stopped) return;
    let outbound = this.outbound.get(to);
    if (outbound === undefined) {
      outbound = { replies: [], bytes: 0, blocked: false };
      this.outbound.set(to, outbound);
    }
    if (outbound.bytes > MAX_BACKLOG_BYTES) {
      this.lostReplies++;
      return;
    }
    outbound.replies.push(reply);
    outbound.bytes += reply.body.length + 32;
    if (this.scheduled) return;
    this.scheduled = true;
    // After the promises that this turn settles, so that all its answers share a frame.
    process.nextTick(() => this.flush());
  }

  private flush(): void {
    this.scheduled = false;
    for (const [peer, outbound] of this.outbound) {
      if (!outbound.blocked && outbound.replies.length > 0) this.flushTo(peer, outbound);
    }
  }

  private flushTo(peer: string, outbound: Outbound): void {
    while (outbound.replies.length > 0) {
      const frame = new ForwardFrame('replies');
      let count = 0;
      let bytes = 0;
      for (const reply of outbound.replies) {
        if (count > 0 && frame.bytes + reply.body.length > MAX_FRAME_BYTES) break;
        frame.addReply(reply);
        bytes += reply.body.length + 32;
        count++;
      }
      if (!this.send(peer, frame)) {
        this.waitForRoom(peer, outbound);
        return;
      }
      outbound.replies.splice(0, count);
      outbound.bytes -= bytes;
    }
  }

  private send(peer: string, frame: ForwardFrame): boolean {
    try {
      return this.transport.send(peer, FORWARD_CHANNEL, frame.finish(), 'bulk');
    } catch (error) {
      // An answer that the transport will never take: its asker times out.
      this.onFailure(errorMessage(error));
      this.lostReplies++;
      return true;
    }
  }

  private waitForRoom(peer: string, outbound: Outbound): void {
    outbound.blocked = true;
    this.transport.drained(peer, 'bulk').then(
      () => {
        outbound.blocked = false;
        if (!this.stopped) this.flushTo(peer, outbound);
      },
      () => {
        // The peer is gone, and with it those who waited for these answers.
        this.lostReplies += outbound.replies.length;
        this.outbound.delete(peer);
      },
    );
  }
}
