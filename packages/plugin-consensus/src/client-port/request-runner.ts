// Carries out the requests of clients. What this node leads is done at once, by calls into the engine; what it does not
// lead is refused with who does, or passed on if the client asks for that.

import type { DwError } from '@datawarehouse/sdk';
import { errorMessage, isDwError } from '@datawarehouse/sdk';
import type { ClientOperation, ClientRequest, ListedKey, ReadMode } from '@datawarehouse/sdk/client-protocol';
import { ByteWriter } from '../codec/byte-writer.js';
import type { EntryKind } from '../engine/entry-envelope.js';
import type { ProposalResult } from '../engine/proposal.js';
import {
  groupFailed,
  groupUnknown,
  notLeader,
  requestAborted,
  requestInvalid,
  storeFull,
  valueTooLarge,
  versionMismatch,
} from '../errors.js';
import { refusalOf } from '../groups/command-identity.js';
import { COMMAND_ROOM, encodeCommand, writeCommand } from '../state/command.js';
import { MAX_KEYS_PER_GROUP } from '../state/key-value-state.js';
import type { Outcome } from '../state/outcome.js';
import { SESSION_PLACE_BYTES, encodeSessionId, writeSessionPlace } from '../state/sessions/command-header.js';
import type { ClientBackend, StoredValue } from './client-backend.js';
import { operationUnknown } from './errors.js';
import type { ChangeSink } from './watch-stream.js';
import { WatchStream } from './watch-stream.js';

const EMPTY = new Uint8Array(0);
/** Most keys of one answer to a list. */
const MAX_LIST_LIMIT = 1_001;

/** Where the answers of a connection go. Each call but those for watches is the last answer to its request. */
export interface Replies {
  written(id: number, version: number): void;
  deleted(id: number, version: number, existed: boolean): void;
  found(id: number, found: StoredValue | undefined): void;
  listed(id: number, items: readonly ListedKey[]): void;
  refused(id: number, error: DwError): void;
  /** Where a watch tells its changes. */
  watch(id: number): ChangeSink;
  /** What to call when the client of a watch takes more again, or who leads has changed. */
  pumps(id: number, pump: () => void): void;
}

type Operation<Op extends ClientOperation['op']> = Extract<ClientOperation, { readonly op: Op }>;
type Write = Operation<'put'> | Operation<'delete'>;

/** A request as it is being carried out. */
interface Attempt {
  readonly id: number;
  readonly relay: boolean;
  readonly deadline: number;
  readonly replies: Replies;
}

/** An entry that a request wants in the log of a group. */
interface Proposed {
  readonly group: string;
  readonly kind: EntryKind;
  readonly data: Uint8Array;
  /** Whether a second try is harmless when the first happened. */
  readonly repeatable: boolean;
  /** The write that it carries, if it does. */
  readonly write: Write | undefined;
}

/** Runs requests against the node. */
export class RequestRunner {
  constructor(private readonly backend: ClientBackend) {}

  /**
   * Begins a request; its answers go to `replies`.
   * @returns what gives it up, if anything can.
   * @throws DwError: it did nothing, and there was no answer yet.
   */
  run({ id, timeoutMs, relay, operation }: ClientRequest, replies: Replies): (() => void) | undefined {
    if (operation === undefined) throw operationUnknown();
    const { backend } = this;
    const longest = backend.requestTimeoutMs;
    const deadline = backend.now() + (timeoutMs === 0 ? longest : Math.min(timeoutMs, longest));
    const attempt: Attempt = { id, relay, deadline, replies };
    switch (operation.op) {
      case 'put':
      case 'delete':
        return this.write(operation, attempt);
      case 'get':
        this.get(operation, attempt);
        return undefined;
      case 'list':
        this.list(operation, attempt);
        return undefined;
      case 'open-session':
        return this.propose(this.sessionEntry(operation.group, 'open-session', EMPTY), attempt);
      case 'close-session': {
        const data = encodeSessionId(operation.session);
        return this.propose(this.sessionEntry(operation.group, 'close-session', data), attempt);
      }
      case 'watch':
        return this.watch(operation, attempt);
      case 'cancel':
        // The connection knows what it has under way.
        return undefined;
    }
  }

  private write(write: Write, attempt: Attempt): () => void {
    const { maxValueBytes } = this.backend;
    const group = this.backend.groupOf(write.key);
    const value = write.op === 'put' ? write.value : undefined;
    if (value !== undefined && value.length > maxValueBytes) throw valueTooLarge(value.length, maxValueBytes);
    const { session } = write;
    if (session === undefined) {
      const data = encodeCommand(write.op, write.key, value, write.condition);
      return this.propose({ group, kind: 'command', data, repeatable: false, write }, attempt);
    }
    // Hot path: place and command go into one buffer.
    const place = { session: session.id, sequence: session.sequence, lowestWanted: session.lowestOpen };
    const bytes = SESSION_PLACE_BYTES + write.key.length + (value?.length ?? 0) + COMMAND_ROOM;
    const writer = new ByteWriter(bytes);
    writeSessionPlace(writer, place);
    writeCommand(writer, write.op, write.key, value, write.condition);
    const data = writer.finish();
    return this.propose({ group, kind: 'session-command', data, repeatable: true, write }, attempt);
  }

  /** A session that is opened or closed twice costs a place in a table, and nothing else. */
  private sessionEntry(group: string, kind: EntryKind, data: Uint8Array): Proposed {
    this.checkGroup(group);
    return { group, kind, data, repeatable: true, write: undefined };
  }

  private propose(proposed: Proposed, { id, relay, deadline, replies }: Attempt): () => void {
    const { backend } = this;
    const { group, kind, data, repeatable, write } = proposed;
    const settled = (result: ProposalResult): void => this.settle(id, group, write, result, replies);
    if (backend.leads(group)) return backend.submit(group, kind, data, deadline, settled);
    if (!relay) throw notLeader(group, backend.leader(group));
    return backend.relayWrite(group, kind, data, repeatable, settled);
  }

  private settle(
    id: number,
    group: string,
    write: Write | undefined,
    result: ProposalResult,
    replies: Replies,
  ): void {
    if (!result.ok) {
      replies.refused(id, result.error);
      return;
    }
    const { outcome } = result;
    switch (outcome.status) {
      case 'written':
        replies.written(id, outcome.version);
        return;
      case 'deleted':
        replies.deleted(id, outcome.version, outcome.existed);
        return;
      case 'version-mismatch':
        replies.refused(id, versionMismatch(write?.key ?? '', outcome.currentVersion));
        return;
      case 'store-full':
        replies.refused(id, storeFull(group, MAX_KEYS_PER_GROUP));
        return;
      case 'session-opened':
        replies.written(id, outcome.session);
        return;
      case 'session-closed':
        replies.written(id, 0);
        return;
      case 'session-expired':
      case 'sequence-acknowledged':
      case 'sequence-reused':
      case 'session-full':
      case 'idempotency-key-reused':
      case 'committed':
      case 'result':
      case 'result-not-kept':
        replies.refused(id, sessionRefusal(group, write, outcome));
    }
  }

  private get({ key, mode }: Operation<'get'>, { id, relay, deadline, replies }: Attempt): void {
    const { backend } = this;
    const group = backend.groupOf(key);
    const serve = (): void => replies.found(id, backend.get(group, key));
    if (this.readable(group, mode, relay)) {
      this.read(group, mode, deadline, serve, (error) => replies.refused(id, error));
      return;
    }
    backend.relayGet(group, key).then(
      (found) => replies.found(id, found),
      (error: unknown) => replies.refused(id, asDwError(group, error)),
    );
  }

  private list(operation: Operation<'list'>, { id, relay, deadline, replies }: Attempt): void {
    const { backend } = this;
    const { group, prefix, after, limit, mode } = operation;
    this.checkGroup(group);
    if (limit < 1 || limit > MAX_LIST_LIMIT) {
      throw requestInvalid(`The limit of a list cannot be ${limit}`, `give 1 to ${MAX_LIST_LIMIT}`);
    }
    const serve = (): void => replies.listed(id, backend.list(group, prefix, after, limit));
    if (this.readable(group, mode, relay)) {
      this.read(group, mode, deadline, serve, (error) => replies.refused(id, error));
      return;
    }
    backend.relayList(group, prefix, after, limit).then(
      (items) => replies.listed(id, items),
      (error: unknown) => replies.refused(id, asDwError(group, error)),
    );
  }

  /** A watch from now on begins with what a read would see: nothing that was acknowledged before is told, all after is. */
  private watch(operation: Operation<'watch'>, { id, relay, deadline, replies }: Attempt): () => void {
    const { backend } = this;
    const { group, prefix, after } = operation;
    this.checkGroup(group);
    const source = backend.changes(group, relay);
    const refusal = source.refusal();
    if (refusal !== undefined) throw refusal;
    const sink = replies.watch(id);
    let stream: WatchStream | undefined;
    let over = false;
    const start = (from: number): void => {
      stream = new WatchStream(source, sink, prefix, from);
      replies.pumps(id, () => stream?.pump());
      stream.start();
    };
    if (after === undefined) {
      backend.read(group, 'linearizable', deadline, (error) => {
        if (over) return;
        if (error === undefined) start(source.lastApplied());
        else replies.refused(id, error);
      });
    } else {
      start(after);
    }
    return () => {
      over = true;
      if (stream === undefined) sink.ended(requestAborted());
      else stream.stop();
    };
  }

  /** Calls `serve` once the group's state here may be read in this way. */
  private read(
    group: string,
    mode: ReadMode,
    deadline: number,
    serve: () => void,
    refuse: (error: DwError) => void,
  ): void {
    if (mode === 'stale') {
      serve();
      return;
    }
    this.backend.read(group, mode, deadline, (error) => {
      if (error === undefined) serve();
      else refuse(error);
    });
  }

  /** Whether the state here serves the read; false: pass it on. @throws DwError `not-leader`. */
  private readable(group: string, mode: ReadMode, relay: boolean): boolean {
    const { backend } = this;
    if (backend.leads(group)) return true;
    if (mode === 'stale' && backend.serves(group)) return true;
    if (relay) return false;
    throw notLeader(group, backend.leader(group));
  }

  private checkGroup(group: string): void {
    if (!this.backend.groups().some(({ id }) => id === group)) throw groupUnknown(group);
  }
}

function sessionRefusal(group: string, write: Write | undefined, outcome: Outcome): DwError {
  const { session } = write ?? {};
  const place = session && {
    group,
    session: session.id,
    sequence: session.sequence,
    lowestWanted: session.lowestOpen,
  };
  const refusal = place && refusalOf(outcome, group, { session: place });
  return refusal ?? groupFailed(group, new Error(`an outcome ${outcome.status} for a request of a client`));
}

function asDwError(group: string, thrown: unknown): DwError {
  return isDwError(thrown) ? thrown : groupFailed(group, new Error(errorMessage(thrown)));
}
