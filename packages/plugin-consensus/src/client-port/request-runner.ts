// Carries out the requests of clients. What this node leads is done at once, by calls into the engine; what it does not
// lead is refused with who does, or passed on if the client asks for that.

import type { DwError } from '@datawarehouse/sdk';
import { errorMessage, isDwError } from '@datawarehouse/sdk';
import type { ClientOperation, ClientRequest, ListedKey } from '@datawarehouse/sdk/client-protocol';
import type { ProposalResult } from '../engine/proposal.js';
import {
  groupFailed,
  groupUnknown,
  notLeader,
  requestInvalid,
  storeFull,
  valueTooLarge,
  versionMismatch,
} from '../errors.js';
import { encodeCommand } from '../state/command.js';
import { MAX_KEYS_PER_GROUP } from '../state/key-value-state.js';
import type { ClientBackend, StoredValue } from './client-backend.js';
import { operationUnknown } from './errors.js';

/** Most keys of one answer to a list. */
const MAX_LIST_LIMIT = 1_001;

/** Where the answers of a connection go. Each call but `changes` is the last answer to its request. */
export interface Replies {
  written(id: number, version: number): void;
  deleted(id: number, version: number, existed: boolean): void;
  found(id: number, found: StoredValue | undefined): void;
  listed(id: number, items: readonly ListedKey[]): void;
  refused(id: number, error: DwError): void;
}

type Operation<Op extends ClientOperation['op']> = Extract<ClientOperation, { readonly op: Op }>;
type Write = Operation<'put'> | Operation<'delete'>;

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
    switch (operation.op) {
      case 'put':
      case 'delete':
        return this.write(id, operation, relay, deadline, replies);
      case 'get':
        this.get(id, operation, relay, deadline, replies);
        return undefined;
      case 'list':
        this.list(id, operation, relay, deadline, replies);
        return undefined;
      case 'watch':
      case 'open-session':
      case 'close-session':
        throw operationUnknown();
      case 'cancel':
        // The connection knows what it has under way.
        return undefined;
    }
  }

  private write(
    id: number,
    operation: Write,
    relay: boolean,
    deadline: number,
    replies: Replies,
  ): () => void {
    const { backend } = this;
    const group = backend.groupOf(operation.key);
    const value = operation.op === 'put' ? operation.value : undefined;
    if (value !== undefined && value.length > backend.maxValueBytes) {
      throw valueTooLarge(value.length, backend.maxValueBytes);
    }
    const here = backend.leads(group);
    if (!here && !relay) throw notLeader(group, backend.leader(group));
    const command = encodeCommand(operation.op, operation.key, value, operation.condition, undefined);
    const done = (result: ProposalResult): void => this.settle(id, operation, group, result, replies);
    if (here) return backend.submit(group, command, deadline, done);
    return backend.relayWrite(group, command, operation.session !== undefined, done);
  }

  private settle(id: number, { key }: Write, group: string, result: ProposalResult, replies: Replies): void {
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
        replies.refused(id, versionMismatch(key, outcome.currentVersion));
        return;
      case 'store-full':
        replies.refused(id, storeFull(group, MAX_KEYS_PER_GROUP));
        return;
      case 'idempotency-key-reused':
      case 'committed':
      case 'result':
        replies.refused(id, groupFailed(group, new Error(`an outcome ${outcome.status} for a write`)));
    }
  }

  private get(
    id: number,
    { key, mode }: Operation<'get'>,
    relay: boolean,
    deadline: number,
    replies: Replies,
  ): void {
    const { backend } = this;
    const group = backend.groupOf(key);
    const serve = (): void => replies.found(id, backend.get(group, key));
    if (this.readable(group, mode, relay)) {
      if (mode === 'stale') serve();
      else
        backend.read(group, mode, deadline, (error) => {
          if (error === undefined) serve();
          else replies.refused(id, error);
        });
      return;
    }
    backend.relayGet(group, key).then(
      (found) => replies.found(id, found),
      (error: unknown) => replies.refused(id, asDwError(group, error)),
    );
  }

  private list(
    id: number,
    { group, prefix, after, limit, mode }: Operation<'list'>,
    relay: boolean,
    deadline: number,
    replies: Replies,
  ): void {
    const { backend } = this;
    if (!backend.groups().some((known) => known.id === group)) throw groupUnknown(group);
    if (limit < 1 || limit > MAX_LIST_LIMIT) {
      throw requestInvalid(`The limit of a list cannot be ${limit}`, `give 1 to ${MAX_LIST_LIMIT}`);
    }
    const serve = (): void => replies.listed(id, backend.list(group, prefix, after, limit));
    if (this.readable(group, mode, relay)) {
      if (mode === 'stale') serve();
      else
        backend.read(group, mode, deadline, (error) => {
          if (error === undefined) serve();
          else replies.refused(id, error);
        });
      return;
    }
    backend.relayList(group, prefix, after, limit).then(
      (items) => replies.listed(id, items),
      (error: unknown) => replies.refused(id, asDwError(group, error)),
    );
  }

  /** Whether the state here serves the read; false: pass it on. @throws DwError `not-leader`. */
  private readable(group: string, mode: string, relay: boolean): boolean {
    const { backend } = this;
    if (backend.leads(group)) return true;
    if (mode === 'stale' && backend.serves(group)) return true;
    if (relay) return false;
    throw notLeader(group, backend.leader(group));
  }
}

function asDwError(group: string, thrown: unknown): DwError {
  return isDwError(thrown) ? thrown : groupFailed(group, new Error(errorMessage(thrown)));
}
