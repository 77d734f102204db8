// The client as its users see it: keys, values, versions, and errors with codes.

import type {
  ClientOperation,
  ListedKey,
  ReadMode,
  WriteCondition,
} from '@datawarehouse/sdk/client-protocol';
import {
  MAX_CLIENT_KEY_BYTES,
  readDeleted,
  readFound,
  readListed,
  readNumber,
} from '@datawarehouse/sdk/client-protocol';
import { newCall } from './dispatch/call.js';
import { Dispatcher } from './dispatch/dispatcher.js';
import {
  DwClientError,
  aborted,
  answerMalformed,
  closed,
  keyInvalid,
  optionInvalid,
  valueTooLarge,
} from './errors.js';
import type { ClientOptions } from './options.js';
import { checkOptions } from './options.js';
import { Watch } from './watch/watch.js';
import { decodeToken } from './watch/watch-token.js';

/** A code unit that is half of a character, with no other half beside it: no UTF-8 stands for it. */
const LONE_SURROGATE = /\p{Surrogate}/u;
const DEFAULT_LIST_LIMIT = 100;
const MAX_LIST_LIMIT = 1_000;

/** What any call can be given. */
export interface CallOptions {
  /** Ends the wait: a read fails with `aborted`, a write that was sent with `outcome-unknown`. */
  readonly signal?: AbortSignal;
  /** Longest that the call takes, ms, retries included. Default that of the client. */
  readonly timeoutMs?: number;
}

/** How to read. */
export interface ReadOptions extends CallOptions {
  /**
   * `linearizable` (default): what was written before is seen. `lease`: the same while clocks run at nearly one speed,
   * without asking a majority. `stale`: what the node asked has, however old.
   */
  readonly consistency?: ReadMode;
}

/** How to write. */
export interface WriteOptions extends CallOptions {
  /** Write only over this version, or only if the key is absent. Else `version-mismatch`. */
  readonly ifVersion?: number | 'absent';
}

/** A value and its version. */
export interface Entry {
  readonly value: Buffer;
  /** Rises with each write of the key; for `ifVersion`. */
  readonly version: number;
}

/** How to watch. */
export interface WatchOptions {
  /** The token of an event, or of a watch: go on right after it. Default: from now on. */
  readonly from?: string;
  /** Ends the watch with `aborted`. */
  readonly signal?: AbortSignal;
}

/** A page of keys. */
export interface KeyPage {
  readonly items: readonly ListedKey[];
  /** Give it as `after` for the next page; undefined at the end. */
  readonly next: string | undefined;
}

/** A client of one cluster. Made by {@link connect}. */
export class DwClient {
  private readonly watches = new Set<Watch>();
  private isClosed = false;

  private constructor(
    private readonly dispatcher: Dispatcher,
    private readonly timeoutMs: number,
    private readonly random: () => number,
  ) {
    dispatcher.onChanged(() => {
      for (const watch of this.watches) watch.run();
    });
  }

  /** As {@link connect}. */
  static async connect(options: ClientOptions): Promise<DwClient> {
    const checked = checkOptions(options);
    const dispatcher = new Dispatcher(checked, () => performance.now());
    try {
      await dispatcher.open();
    } catch (error) {
      dispatcher.destroy();
      throw error;
    }
    return new DwClient(dispatcher, checked.timeoutMs, checked.random);
  }

  /**
   * Reads a key; undefined when there is none.
   * @throws DwClientError `timeout`, `aborted`, `key-invalid`, `queue-full`, `client-closed`.
   */
  get(key: string, options: ReadOptions = {}): Promise<Entry | undefined> {
    const { consistency: mode = 'linearizable' } = options;
    return this.onKey(key, { op: 'get', key, mode }, options, false, (body) => {
      const found = readFound(body);
      // The body is a part of what the socket delivered: a value that is kept must not keep all of that.
      return found === undefined ? undefined : { version: found.version, value: Buffer.from(found.value) };
    });
  }

  /**
   * Writes a value; resolves once a majority has it on disk. Do not change `value` before that.
   * @throws DwClientError `version-mismatch`, `value-too-large`, `outcome-unknown`, and as {@link get}.
   */
  put(
    key: string,
    value: Uint8Array | string,
    options: WriteOptions = {},
  ): Promise<{ readonly version: number }> {
    const bytes = typeof value === 'string' ? Buffer.from(value) : value;
    if (bytes.length > this.dispatcher.maxValueBytes) {
      return Promise.reject(valueTooLarge(bytes.length, this.dispatcher.maxValueBytes));
    }
    const condition = options.ifVersion;
    return this.onKey(
      key,
      { op: 'put', key, value: bytes, condition, session: undefined },
      options,
      true,
      (body) => ({ version: readNumber(body) }),
    );
  }

  /**
   * Deletes a key, which need not exist.
   * @throws DwClientError `version-mismatch`, `outcome-unknown`, and as {@link get}.
   */
  delete(
    key: string,
    options: WriteOptions = {},
  ): Promise<{ readonly version: number; readonly existed: boolean }> {
    const condition = options.ifVersion;
    return this.onKey(key, { op: 'delete', key, condition, session: undefined }, options, true, readDeleted);
  }

  /**
   * Writes a value over a version that was read, or where there is none.
   * @returns whether it was written, with the version that the key has now (undefined: it does not exist).
   * @throws DwClientError `outcome-unknown`, and as {@link get}.
   */
  async compareAndSwap(
    key: string,
    expected: number | 'absent',
    value: Uint8Array | string,
    options: CallOptions = {},
  ): Promise<{ readonly swapped: boolean; readonly version: number | undefined }> {
    try {
      const { version } = await this.put(key, value, { ...options, ifVersion: expected });
      return { swapped: true, version };
    } catch (error) {
      if (!(error instanceof DwClientError) || error.code !== 'version-mismatch') throw error;
      const current = error.details?.['currentVersion'];
      return { swapped: false, version: typeof current === 'number' ? current : undefined };
    }
  }

  /**
   * Lists keys in the order of their UTF-8 bytes. Each group is read as `consistency` says; keys of different groups
   * need not be of the same moment.
   */
  async list(
    query: { readonly prefix?: string; readonly after?: string; readonly limit?: number } = {},
    options: ReadOptions = {},
  ): Promise<KeyPage> {
    const { prefix = '', after, limit = DEFAULT_LIST_LIMIT } = query;
    const { consistency: mode = 'linearizable' } = options;
    if (!Number.isSafeInteger(limit) || limit < 1 || limit > MAX_LIST_LIMIT) {
      throw optionInvalid(`The limit of a list cannot be ${limit}`, `give 1 to ${MAX_LIST_LIMIT}`);
    }
    if (prefix !== '') checkKey(prefix);
    if (after !== undefined && after !== '') checkKey(after);
    const start = after === '' ? undefined : after;
    const pages = await Promise.all(
      this.dispatcher.view.groupIds.map((group) =>
        this.call(
          group,
          // One more than asked for tells whether there is more.
          { op: 'list', group, mode, prefix, after: start, limit: limit + 1 },
          () => `The list of ${JSON.stringify(prefix)}`,
          options,
          false,
          readListed,
        ),
      ),
    );
    const all = pages.flat().sort((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)));
    const items = all.slice(0, limit);
    return { items, next: all.length > limit ? items[items.length - 1]?.key : undefined };
  }

  /**
   * Tells what changes, each change once, those of a group in order, from now on or from the place of a token.
   * Connections that are lost and leaders that change do not show. Ends with `version-compacted` when changes after the
   * token are not kept any more: list the keys, and watch from now on.
   *
   * @example
   * for await (const event of client.watch('orders/')) console.log(event.kind, event.key, event.token);
   * @throws DwClientError `option-invalid`, `client-closed`; while it is read `version-compacted`, `aborted`.
   */
  watch(prefix = '', options: WatchOptions = {}): Watch {
    if (prefix !== '') checkKey(prefix);
    if (this.isClosed) throw closed();
    const { dispatcher } = this;
    const from = options.from === undefined ? new Map<string, number>() : decodeToken(options.from);
    const host = { route: (group: string) => dispatcher.route(group), random: this.random };
    const ended = (watch: Watch): void => void this.watches.delete(watch);
    const watch = new Watch(dispatcher.view.groupIds, prefix, from, host, ended, options.signal);
    if (!watch.isOver) this.watches.add(watch);
    return watch;
  }

  /** Takes no new calls, waits for those under way (no longer than their time), and closes all connections. */
  close(): Promise<void> {
    this.stopWatches();
    return this.dispatcher.close();
  }

  /** Ends everything at once: calls fail, writes that were sent with `outcome-unknown`. */
  destroy(): void {
    this.stopWatches();
    this.dispatcher.destroy();
  }

  private stopWatches(): void {
    this.isClosed = true;
    for (const watch of this.watches) watch.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  private onKey<T>(
    key: string,
    operation: ClientOperation,
    options: CallOptions & { readonly ifVersion?: WriteCondition },
    writes: boolean,
    read: (body: Buffer) => T,
  ): Promise<T> {
    try {
      checkKey(key);
      checkCondition(options.ifVersion);
    } catch (error) {
      return Promise.reject(error);
    }
    const group = this.dispatcher.view.groupOf(key) ?? '';
    const verb = { get: 'read', put: 'write', delete: 'deletion' }[operation.op as 'get' | 'put' | 'delete'];
    return this.call(group, operation, () => `The ${verb} of ${JSON.stringify(key)}`, options, writes, read);
  }

  private call<T>(
    group: string,
    operation: ClientOperation,
    what: () => string,
    { signal, timeoutMs = this.timeoutMs }: CallOptions,
    writes: boolean,
    read: (body: Buffer) => T,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(aborted(what(), signal.reason));
        return;
      }
      const { dispatcher } = this;
      const abort = (): void => dispatcher.abandon(call, signal?.reason);
      const call = newCall({
        operation,
        group,
        what,
        writes,
        deadline: performance.now() + timeoutMs,
        timeoutMs,
        done: (body) => {
          signal?.removeEventListener('abort', abort);
          try {
            resolve(read(body));
          } catch (error) {
            reject(answerMalformed(what(), writes, error));
          }
        },
        failed: (error) => {
          signal?.removeEventListener('abort', abort);
          reject(error);
        },
      });
      signal?.addEventListener('abort', abort, { once: true });
      dispatcher.submit(call);
    });
  }
}

/**
 * Connects to a cluster by the client ports of one or more of its nodes.
 * @throws DwClientError `unreachable`, `client-unauthorized`, `client-cluster-mismatch`, `client-version-unsupported`,
 * `option-invalid`.
 */
export function connect(options: ClientOptions): Promise<DwClient> {
  return DwClient.connect(options);
}

function checkKey(key: string): void {
  if (typeof key !== 'string' || key.length === 0) throw keyInvalid('is empty');
  if (key.length * 3 > MAX_CLIENT_KEY_BYTES && Buffer.byteLength(key) > MAX_CLIENT_KEY_BYTES) {
    throw keyInvalid(`has ${Buffer.byteLength(key)} bytes; at most ${MAX_CLIENT_KEY_BYTES} are allowed`);
  }
  if (LONE_SURROGATE.test(key)) throw keyInvalid('is not well-formed text');
}

function checkCondition(condition: WriteCondition): void {
  if (condition === undefined || condition === 'absent') return;
  if (Number.isSafeInteger(condition) && condition >= 0) return;
  throw optionInvalid(
    `${condition} is no version`,
    'give a version that a read or write answered, or "absent"',
  );
}
