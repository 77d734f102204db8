// The replicated key-value store as a service for plugins.

import type { ServiceToken } from '../plugin/service-token.js';
import type { CommandIdentity, GroupSession } from './session.js';
import { createToken } from '../plugin/service-token.js';

/** A value with its version. */
export interface ReplicatedValue {
  readonly value: Uint8Array;
  readonly version: number;
}

/** Conditions and identity of a write. */
export interface KeyValueWriteOptions extends CommandIdentity {
  /** Only over this version, or only if `absent`. */
  readonly ifVersion?: number | 'absent';
  readonly signal?: AbortSignal;
}

/** Options of a read. */
export interface KeyValueReadOptions {
  /** Default `linearizable`. `stale` reads this node's own state. */
  readonly consistency?: 'linearizable' | 'stale';
  readonly signal?: AbortSignal;
}

/** What a write answers. */
export interface KeyValueWriteResult {
  /** The version of the value written; for a delete, of the delete. */
  readonly version: number;
  readonly group: string;
}

/** What a list answers. */
export interface KeyValuePage {
  readonly items: readonly { readonly key: string; readonly version: number }[];
  /** Give it as `after` to go on; undefined at the end. */
  readonly next: string | undefined;
}

/** What is watched. */
export interface WatchQuery {
  readonly group: string;
  /** Only keys that begin so. Default: all. */
  readonly prefix?: string;
  /** The last version that the watcher knows; default: what is written from now on. */
  readonly after?: number;
}

/** Changes of a group, in the order in which they were applied. */
export interface KeyValueChanges {
  readonly group: string;
  /** `value` is undefined when the key was deleted. Values are not to be changed. */
  readonly changes: readonly {
    readonly key: string;
    readonly version: number;
    readonly value: Uint8Array | undefined;
  }[];
  /** No change up to this version is missing: a watch can go on after it, on any node. */
  readonly upTo: number;
}

/**
 * The replicated key-value store. A write that resolved is committed by a majority and on their disks. One that threw
 * did not happen and never will, unless the error's code is `outcome-unknown`.
 *
 * Throws DwError `session-expired` (410), `sequence-acknowledged`, `session-of-other-group` (409), `sequence-reused` (422),
 * `session-full` (429), `key-invalid`, `value-too-large` (413), `version-mismatch` (412), `overloaded` (429),
 * `no-leader` (503), `outcome-unknown` (503).
 */
export interface IKeyValueStore {
  putAsync(key: string, value: Uint8Array, options?: KeyValueWriteOptions): Promise<KeyValueWriteResult>;
  /**
   * Opens a session in the group that owns a key, or in a group: with it writes are applied once, however often they are
   * retried. A group keeps a bounded number of sessions; the least recently used goes, and its commands are refused
   * with `session-expired` from then on.
   */
  openSessionAsync(
    target: { readonly key: string } | { readonly group: string },
    signal?: AbortSignal,
  ): Promise<GroupSession>;
  /**
   * The changes of a group's keys with a prefix: each once and in order, at the pace of whoever pulls them. The first
   * batch comes at once and says from where the watch goes; a batch may be empty. Needs a replica of the group here.
   * @throws DwError `version-compacted` when changes are asked for that are not kept any more, also when the reader is
   * overtaken; `replica-not-here`.
   */
  watch(query: WatchQuery, signal?: AbortSignal): AsyncIterable<KeyValueChanges>;
  /** Closes a session that is not needed any more. */
  closeSessionAsync(session: GroupSession, signal?: AbortSignal): Promise<void>;
  getAsync(key: string, options?: KeyValueReadOptions): Promise<ReplicatedValue | undefined>;
  /** `existed` says whether there was something to delete. */
  deleteAsync(
    key: string,
    options?: KeyValueWriteOptions,
  ): Promise<KeyValueWriteResult & { readonly existed: boolean }>;
  /** Keys with a prefix, in key order (code units of UTF-8), over all groups. `limit` is 1 to 1 000, default 100. */
  listAsync(
    query: { readonly prefix?: string; readonly after?: string; readonly limit?: number },
    options?: KeyValueReadOptions,
  ): Promise<KeyValuePage>;
}

/** The replicated key-value store of the cluster. */
export const KEY_VALUE_STORE: ServiceToken<IKeyValueStore> =
  createToken<IKeyValueStore>('dw.key-value-store');
