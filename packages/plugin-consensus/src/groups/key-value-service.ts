// The key-value store as plugins and the HTTP API see it: checks what comes in, finds the group that owns a key, and
// turns outcomes into answers and errors.

import type {
  GroupSession,
  IKeyValueStore,
  KeyValueChanges,
  KeyValuePage,
  KeyValueReadOptions,
  KeyValueWriteOptions,
  KeyValueWriteResult,
  ReplicatedValue,
  WatchQuery,
} from '@datawarehouse/sdk';
import {
  groupFailed,
  groupUnknown,
  keyInvalid,
  overloaded,
  requestInvalid,
  storeFull,
  valueTooLarge,
  versionMismatch,
} from '../errors.js';
import type { WriteCondition } from '../state/command.js';
import type { Outcome } from '../state/outcome.js';
import { MAX_KEY_BYTES, encodeCommand } from '../state/command.js';
import { MAX_KEYS_PER_GROUP } from '../state/key-value-state.js';
import { compareUtf8 } from '../state/utf8-order.js';
import { closeSession, envelop, openSession, refusalOf } from './command-identity.js';
import type { GroupRouter } from './group-router.js';
import { watchGroup } from './watch.js';

const DEFAULT_LIST_LIMIT = 100;
const MAX_LIST_LIMIT = 1_000;
/** Watches at the same time on one node; each takes a batch of references at most. */
const MAX_WATCHERS = 10_000;
/** A code unit that is half of a character, with no other half beside it: no UTF-8 stands for it. */
const LONE_SURROGATE = /\p{Surrogate}/u;

/** Limits of the service; asked at each use. */
export interface ServiceLimits {
  readonly maxValueBytes: number;
  readonly maxConcurrentOperations: number;
}

/** The replicated key-value store. */
export class KeyValueService implements IKeyValueStore {
  private underWay = 0;
  private reads = 0;
  private writes = 0;
  private watchers = 0;

  constructor(
    private readonly router: GroupRouter,
    /** The groups that hold keys; a function where they can change. */
    private readonly groupIds: readonly string[] | (() => readonly string[]),
    private readonly groupOf: (key: string) => string,
    private readonly limits: () => ServiceLimits,
  ) {}

  /** Operations under way, and how many there were since the start. */
  get counters() {
    return { underWay: this.underWay, reads: this.reads, writes: this.writes, watchers: this.watchers };
  }

  /** Refuses at once when the node has enough to do. @throws DwError `overloaded`. */
  admit(): void {
    if (this.underWay >= this.limits().maxConcurrentOperations) {
      throw overloaded('operations', 'maxConcurrentOperations', 500);
    }
  }

  putAsync(key: string, value: Uint8Array, options: KeyValueWriteOptions = {}): Promise<KeyValueWriteResult> {
    return this.counted(async () => {
      const { maxValueBytes } = this.limits();
      checkKey(key);
      if (value.length > maxValueBytes) throw valueTooLarge(value.length, maxValueBytes);
      const { outcome, group } = await this.write('put', key, value, options);
      if (outcome.status !== 'written') throw refusal(key, group, outcome, options);
      return { version: outcome.version, group };
    });
  }

  deleteAsync(
    key: string,
    options: KeyValueWriteOptions = {},
  ): Promise<KeyValueWriteResult & { readonly existed: boolean }> {
    return this.counted(async () => {
      checkKey(key);
      const { outcome, group } = await this.write('delete', key, undefined, options);
      if (outcome.status !== 'deleted') throw refusal(key, group, outcome, options);
      return { version: outcome.version, existed: outcome.existed, group };
    });
  }

  getAsync(key: string, options: KeyValueReadOptions = {}): Promise<ReplicatedValue | undefined> {
    return this.counted(async () => {
      checkKey(key);
      this.reads++;
      const group = this.groupOf(key);
      // Without a replica here there is no state of this node's own to read.
      if (options.consistency === 'stale' && this.router.local.holds(group)) {
        const record = this.router.local.peek(group, key);
        return record === undefined ? undefined : ownCopy(record);
      }
      const found = await this.router.get(group, key, options.signal);
      return found === undefined ? undefined : ownCopy(found);
    });
  }

  listAsync(
    query: { readonly prefix?: string; readonly after?: string; readonly limit?: number },
    options: KeyValueReadOptions = {},
  ): Promise<KeyValuePage> {
    return this.counted(async () => {
      const { prefix = '', after, limit = DEFAULT_LIST_LIMIT } = query;
      if (prefix !== '') checkKey(prefix);
      if (after !== undefined && after !== '') checkKey(after);
      if (!Number.isSafeInteger(limit) || limit < 1 || limit > MAX_LIST_LIMIT) {
        throw requestInvalid(
          `The limit of a list cannot be ${limit}`,
          `give a whole number from 1 to ${MAX_LIST_LIMIT}`,
        );
      }
      this.reads++;
      const start = after === '' ? undefined : after;
      // One more than asked for tells whether there is more.
      const pages = await Promise.all(
        this.keyGroups().map((group) => this.listGroup(group, prefix, start, limit + 1, options)),
      );
      const all = pages.flat().sort((a, b) => compareUtf8(a.key, b.key));
      const items = all.slice(0, limit);
      return { items, next: all.length > limit ? items[items.length - 1]?.key : undefined };
    });
  }

  /** Opens a session in the group that owns a key, or in a group. @throws DwError `group-unknown`, `no-leader`, …. */
  openSessionAsync(
    target: { readonly key: string } | { readonly group: string },
    signal?: AbortSignal,
  ): Promise<GroupSession> {
    return this.counted(async () => {
      if ('key' in target) checkKey(target.key);
      const group = 'key' in target ? this.groupOf(target.key) : target.group;
      if (!this.keyGroups().includes(group)) throw groupUnknown(group);
      return openSession(this.router, group, signal);
    });
  }

  /** Closes a session, so that it takes no place. One that is gone is closed. */
  closeSessionAsync({ group, session }: GroupSession, signal?: AbortSignal): Promise<void> {
    return this.counted(async () => {
      if (!this.keyGroups().includes(group)) throw groupUnknown(group);
      await closeSession(this.router, group, session, signal);
    });
  }

  /**
   * The changes of a group's keys with a prefix, from this node's replica: each once, in order, however slowly they are
   * pulled. The first batch comes at once, and says from where the watch goes; end it with the signal or by returning.
   * Without `after` it begins with what is written after this call.
   * @throws DwError `version-compacted` when changes after the version are not kept any more: also later, when the reader
   * is too slow; `replica-not-here`, `group-failed`, `overloaded`, `aborted`.
   */
  async *watch(query: WatchQuery, signal?: AbortSignal): AsyncGenerator<KeyValueChanges> {
    const { group: id, prefix = '', after } = query;
    if (prefix !== '') checkKey(prefix);
    if (after !== undefined) checkVersion(after);
    if (!this.keyGroups().includes(id)) throw groupUnknown(id);
    if (this.watchers >= MAX_WATCHERS) throw overloaded('watchers', 'maxConcurrentOperations', 1_000);
    this.watchers++;
    try {
      const group = this.router.local.replica(id, 'a watch');
      const from = after ?? (await this.router.local.confirm(id, this.router.deadline())).lastApplied;
      yield* watchGroup(group, { prefix, after: from, signal });
    } finally {
      this.watchers--;
    }
  }

  private keyGroups(): readonly string[] {
    return typeof this.groupIds === 'function' ? this.groupIds() : this.groupIds;
  }

  private async listGroup(
    group: string,
    prefix: string,
    after: string | undefined,
    limit: number,
    options: KeyValueReadOptions,
  ): Promise<readonly { key: string; version: number }[]> {
    if (options.consistency === 'stale' && this.router.local.holds(group)) {
      return this.router.local.peekList(group, prefix, after, limit);
    }
    return this.router.list(group, prefix, after, limit, options.signal);
  }

  private async write(
    op: 'put' | 'delete',
    key: string,
    value: Uint8Array | undefined,
    options: KeyValueWriteOptions,
  ): Promise<{ readonly outcome: Outcome; readonly group: string }> {
    checkCondition(options.ifVersion);
    this.writes++;
    const group = this.groupOf(key);
    const { kind, data, repeatable } = envelop(
      encodeCommand(op, key, value, options.ifVersion),
      group,
      options,
    );
    const { outcome } = await this.router.propose(group, kind, data, repeatable, options.signal);
    return { outcome, group };
  }

  private async counted<T>(work: () => Promise<T>): Promise<T> {
    this.admit();
    this.underWay++;
    try {
      return await work();
    } finally {
      this.underWay--;
    }
  }
}

function checkKey(key: string): void {
  if (typeof key !== 'string' || key.length === 0) throw keyInvalid('is empty');
  if (key.length * 3 > MAX_KEY_BYTES && Buffer.byteLength(key) > MAX_KEY_BYTES) {
    throw keyInvalid(`has ${Buffer.byteLength(key)} bytes; at most ${MAX_KEY_BYTES} are allowed`);
  }
  if (LONE_SURROGATE.test(key)) throw keyInvalid('is not well-formed text');
}

function checkCondition(condition: WriteCondition): void {
  if (condition === undefined || condition === 'absent') return;
  checkVersion(condition);
}

function checkVersion(version: number): void {
  if (!Number.isSafeInteger(version) || version < 0) {
    throw requestInvalid(
      `${version} is no version`,
      'give a version that a read or write answered, or "absent"',
    );
  }
}

function refusal(key: string, group: string, outcome: Outcome, options: KeyValueWriteOptions): Error {
  if (outcome.status === 'version-mismatch') return versionMismatch(key, outcome.currentVersion);
  if (outcome.status === 'store-full') return storeFull(group, MAX_KEYS_PER_GROUP);
  return (
    refusalOf(outcome, group, options) ??
    groupFailed(group, new Error(`an outcome ${outcome.status} for a write`))
  );
}

/** What a reader may keep: the state's own values share buffers with others. */
function ownCopy({ value, version }: ReplicatedValue): ReplicatedValue {
  return { value: new Uint8Array(value), version };
}
