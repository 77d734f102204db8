// A client port without a node behind it, and a bare client that can say anything to it.

import { once } from 'node:events';
import type { Socket } from 'node:net';
import { connect } from 'node:net';
import type { Logger } from '@datawarehouse/sdk';
import type {
  ClientAnswer,
  ClientOperation,
  FrameKind,
  WatchedChange,
} from '@datawarehouse/sdk/client-protocol';
import {
  FrameBuilder,
  FrameParser,
  RequestFrame,
  emptyFrame,
  jsonFrame,
  readAnswers,
} from '@datawarehouse/sdk/client-protocol';
import type { FakeClock } from '@datawarehouse/sdk/testing';
import type { ProposalResult } from '../engine/proposal.js';
import type { EntryKind } from '../engine/entry-envelope.js';
import { decodeCommand } from '../state/command.js';
import { decodeSessionCommand } from '../state/sessions/command-header.js';
import { notLeader } from '../errors.js';
import { versionCompacted } from '../state/errors.js';
import type { ClientBackend, StoredValue } from './client-backend.js';
import type { ChangeSource } from './watch-stream.js';

/** A node in memory: writes and reads wait until the test lets them through. */
export class FakeBackend implements ClientBackend {
  readonly nodeId = 'n1';
  readonly maxValueBytes = 1_000_000;
  readonly requestTimeoutMs = 4_000;
  readonly values = new Map<string, StoredValue>();
  /** Who leads the one group. */
  leaderId: string | undefined = 'n1';
  /** Writes and reads that wait, each with what carries it out. */
  readonly waiting: (() => void)[] = [];
  readonly deadlines: number[] = [];
  /** What was proposed: the kind of each entry, and its place in a session. */
  readonly proposed: string[] = [];
  abandoned = 0;
  /** Whether what comes is carried out at once. */
  immediate = true;
  /** Changes up to here are gone. */
  compactedTo = 0;
  readonly listeners = new Set<() => void>();
  private readonly changed: WatchedChange[] = [];
  private version = 0;

  constructor(private readonly clock: FakeClock) {}

  now(): number {
    return this.clock.now();
  }

  groups() {
    return [{ id: 'g', term: 1, ...(this.leaderId === undefined ? {} : { leader: this.leaderId }) }];
  }

  groupOf(): string {
    return 'g';
  }

  leads(): boolean {
    return this.leaderId === this.nodeId;
  }

  leader(): string | undefined {
    return this.leaderId;
  }

  serves(): boolean {
    return true;
  }

  submit(
    _group: string,
    kind: EntryKind,
    data: Uint8Array,
    deadline: number,
    done: (result: ProposalResult) => void,
  ): () => void {
    this.deadlines.push(deadline);
    this.proposed.push(kind === 'session-command' ? placeOf(data) : kind);
    this.later(() => {
      if (kind === 'open-session') {
        done({ ok: true, index: 1, outcome: { status: 'session-opened', session: 77 } });
        return;
      }
      const command = decodeCommand(kind === 'session-command' ? decodeSessionCommand(data).command : data);
      const index = ++this.version;
      if (command.op === 'put') {
        this.values.set(command.key, { version: index, value: Buffer.from(command.value) });
        done({ ok: true, index, outcome: { status: 'written', version: index } });
        return;
      }
      const existed = this.values.delete(command.key);
      done({ ok: true, index, outcome: { status: 'deleted', version: index, existed } });
    });
    return () => this.abandoned++;
  }

  read(_group: string, _mode: string, _deadline: number, done: (error: undefined) => void): void {
    this.later(() => done(undefined));
  }

  get(_group: string, key: string): StoredValue | undefined {
    return this.values.get(key);
  }

  list() {
    return [...this.values].map(([key, { version }]) => ({ key, version }));
  }

  relayWrite(
    group: string,
    kind: EntryKind,
    data: Uint8Array,
    _repeatable: boolean,
    done: (result: ProposalResult) => void,
  ): () => void {
    return this.submit(group, kind, data, 0, done);
  }

  changes(): ChangeSource {
    return {
      lastApplied: () => this.version,
      changesAfter: (after, prefix, limit) => {
        if (after < this.compactedTo) throw versionCompacted('g', after, this.compactedTo);
        const changes = this.changed
          .filter(({ key, version }) => version > after && key.startsWith(prefix))
          .slice(0, limit);
        const last = changes.length === limit ? changes[limit - 1] : undefined;
        return { changes, through: Math.max(after, last?.version ?? this.version) };
      },
      onApplied: (listener) => {
        this.listeners.add(listener);
        return { [Symbol.dispose]: () => this.listeners.delete(listener) };
      },
      refusal: () => (this.leads() ? undefined : notLeader('g', this.leaderId)),
    };
  }

  /** Writes a key as some other client does. */
  change(key: string, value: string): number {
    const version = ++this.version;
    this.changed.push({ kind: 'put', key, version, value: Buffer.from(value) });
    for (const listener of this.listeners) listener();
    return version;
  }

  relayGet(group: string, key: string): Promise<StoredValue | undefined> {
    return Promise.resolve(this.get(group, key));
  }

  relayList() {
    return Promise.resolve(this.list());
  }

  /** Carries out everything that waits. */
  release(): void {
    for (const work of this.waiting.splice(0)) work();
  }

  private later(work: () => void): void {
    this.waiting.push(work);
    if (this.immediate) queueMicrotask(() => this.release());
  }
}

function placeOf(data: Uint8Array): string {
  const { session, sequence, lowestWanted } = decodeSessionCommand(data);
  return `session-command ${session},${sequence},${lowestWanted}`;
}

/** A log that keeps nothing. */
export const SILENT: Logger = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => SILENT,
};

/** A frame that came from the port. */
export interface Heard {
  readonly kind: FrameKind;
  readonly content: Buffer;
}

/** One connection to a port that keeps to the protocol only where the test does. */
export class BareClient {
  readonly heard: Heard[] = [];
  readonly answers: ClientAnswer[] = [];
  /** Data events: writes of the port that arrived apart. */
  chunks = 0;
  ended = false;
  private readonly changed = new Set<() => void>();
  private readonly parser: FrameParser;

  private constructor(readonly socket: Socket) {
    this.parser = new FrameParser(
      () => 64 * 1_024 * 1_024,
      (kind, content) => {
        this.heard.push({ kind, content });
        if (kind === 'answers') readAnswers(content, (answer) => this.answers.push(answer));
      },
    );
    socket.on('data', (chunk: Buffer) => {
      this.chunks++;
      this.parser.push(chunk);
      this.notify();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.ended = true;
      this.notify();
    });
  }

  static async dial(port: number): Promise<BareClient> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    await once(socket, 'connect');
    return new BareClient(socket);
  }

  /** Dials, says hello, and waits for the welcome. */
  static async welcome(port: number, token?: string): Promise<BareClient> {
    const client = await BareClient.dial(port);
    client.hello({ token });
    await client.until(() => client.heard.length > 0);
    return client;
  }

  hello(fields: Readonly<Record<string, unknown>> = {}): void {
    this.socket.write(jsonFrame('hello', { protocol: 1, client: 'bare', ...fields }));
  }

  ping(): void {
    this.socket.write(emptyFrame('ping'));
  }

  /** Sends operations in one frame, under the ids from `firstId` on. */
  ask(firstId: number, ...operations: readonly ClientOperation[]): void {
    const frame = new RequestFrame();
    operations.forEach((operation, n) => frame.add(firstId + n, 0, false, operation));
    this.socket.write(frame.finish());
  }

  /** Asks for an operation of a later version of the protocol. */
  askUnknown(id: number): void {
    const frame = new FrameBuilder('requests');
    const { writer } = frame;
    writer.varint(id);
    writer.u8(200);
    writer.u8(0);
    writer.varint(0);
    writer.u32(3);
    writer.raw(Buffer.from('abc'));
    this.socket.write(frame.finish());
  }

  /** The reason that the port gave for ending the connection. */
  get goodbye(): { readonly code: string; readonly message: string } | undefined {
    const last = this.heard.find(({ kind }) => kind === 'goodbye');
    return last && (JSON.parse(last.content.toString()) as { code: string; message: string });
  }

  /** Waits until something that was heard makes this true. */
  async until(isTrue: () => boolean): Promise<void> {
    while (!isTrue()) {
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.changed.delete(wake);
          resolve();
        };
        this.changed.add(wake);
      });
    }
  }

  close(): void {
    this.socket.destroy();
  }

  private notify(): void {
    for (const wake of this.changed) wake();
  }
}
