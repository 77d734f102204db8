// A watch as its user sees it: an endless sequence of changes, those of each group in order, with a place to go on from.
// What comes faster than it is read waits here up to a bound; beyond it the nodes are told to stop, and are asked again
// from the place that was reached once there is room.

import type { WatchedChange, WatchedChanges } from '@datawarehouse/sdk/client-protocol';
import type { DwClientError } from '../errors.js';
import { aborted, closed } from '../errors.js';
import type { StreamHost } from './group-stream.js';
import { GroupStream } from './group-stream.js';
import { encodeToken } from './watch-token.js';

/** Changes that wait for their reader, and their bytes; at either nothing more is asked for. */
const MAX_WAITING = 4_096;
const MAX_WAITING_BYTES = 16 * 1_024 * 1_024;

/** A change that a watch tells. */
export type WatchEvent = {
  readonly key: string;
  readonly version: number;
  /** The group that owns the key: changes of one group come in the order in which they were made. */
  readonly group: string;
  /** Give it as `from` to go on right after this event. */
  readonly token: string;
} & ({ readonly kind: 'put'; readonly value: Buffer } | { readonly kind: 'delete' });

/** What waits for the reader: a change, or that a group has got somewhere without one. */
interface Waiting {
  readonly group: string;
  readonly through: number;
  readonly change: WatchedChange | undefined;
  readonly bytes: number;
}

interface Reader {
  readonly resolve: (result: IteratorResult<WatchEvent>) => void;
  readonly reject: (error: DwClientError) => void;
}

interface Starter {
  readonly resolve: () => void;
  readonly reject: (error: DwClientError) => void;
}

/** A watch under way. Read it with `for await`; leaving the loop ends it. */
export class Watch implements AsyncIterableIterator<WatchEvent> {
  private readonly streams: readonly GroupStream[];
  private readonly places: Map<string, number>;
  private readonly starting: Set<string>;
  private waiting: Waiting[] = [];
  private head = 0;
  private readonly unlisten: () => void;
  private waitingBytes = 0;
  private paused = false;
  private readonly readers: Reader[] = [];
  private end: { readonly error: DwClientError | undefined } | undefined;
  private readonly begun: Starter[] = [];

  constructor(
    groups: readonly string[],
    prefix: string,
    from: ReadonlyMap<string, number>,
    host: StreamHost,
    private readonly onEnd: (watch: Watch) => void,
    signal: AbortSignal | undefined,
  ) {
    this.places = new Map(from);
    this.starting = new Set(groups.filter((group) => !from.has(group)));
    const sink = {
      changed: (group: string, changes: WatchedChanges) => this.take(group, changes),
      failed: (error: DwClientError) => this.finish(error),
    };
    this.streams = groups.map((group) => new GroupStream(group, prefix, from.get(group), host, sink));
    const abort = (): void => this.finish(aborted(`The watch of ${JSON.stringify(prefix)}`, signal?.reason));
    this.unlisten = () => signal?.removeEventListener('abort', abort);
    signal?.addEventListener('abort', abort, { once: true });
    if (signal?.aborted === true) abort();
    this.run();
  }

  /** Whether it has ended. */
  get isOver(): boolean {
    return this.end !== undefined;
  }

  /** The place after the last event that was read. Complete once {@link ready} has resolved. */
  get token(): string {
    return encodeToken(this.places);
  }

  /** Resolves once the watch has begun in every group: what is written from then on is told. */
  async ready(): Promise<void> {
    if (this.end !== undefined) throw this.end.error ?? closed();
    if (this.starting.size === 0) return;
    await new Promise<void>((resolve, reject) => this.begun.push({ resolve, reject }));
  }

  /** Leaders or connections have changed: streams that wait look again. */
  run(): void {
    if (this.end === undefined) for (const stream of this.streams) stream.run();
  }

  /** Ends the watch: who waits for the next event is told that there is none. */
  stop(): void {
    this.finish(undefined);
  }

  next(): Promise<IteratorResult<WatchEvent>> {
    const event = this.takeWaiting();
    if (event !== undefined) return Promise.resolve({ done: false, value: event });
    if (this.end !== undefined) {
      return this.end.error === undefined
        ? Promise.resolve({ done: true, value: undefined })
        : Promise.reject(this.end.error);
    }
    return new Promise((resolve, reject) => this.readers.push({ resolve, reject }));
  }

  return(): Promise<IteratorResult<WatchEvent>> {
    this.stop();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  private take(group: string, { changes, through }: WatchedChanges): void {
    if (this.end !== undefined) return;
    if (this.starting.delete(group)) {
      this.places.set(group, through);
      if (this.starting.size === 0) for (const { resolve } of this.begun.splice(0)) resolve();
    }
    for (const change of changes) {
      const bytes = 64 + change.key.length + (change.kind === 'put' ? change.value.length : 0);
      this.waiting.push({ group, through: change.version, change: owned(change), bytes });
      this.waitingBytes += bytes;
    }
    // Only once all that was told before it is read may the place be beyond it.
    this.waiting.push({ group, through, change: undefined, bytes: 0 });
    this.serve();
    if (this.paused || !this.isFull(1)) return;
    this.paused = true;
    for (const stream of this.streams) stream.pause();
  }

  private serve(): void {
    while (this.readers.length > 0) {
      const event = this.takeWaiting();
      if (event === undefined) return;
      this.readers.shift()?.resolve({ done: false, value: event });
    }
    this.skipProgress();
  }

  /** The next event, if there is one. */
  private takeWaiting(): WatchEvent | undefined {
    this.skipProgress();
    const next = this.waiting[this.head];
    if (next?.change === undefined) return undefined;
    this.shift(next);
    this.skipProgress();
    const { change, group } = next;
    const { key, version } = change;
    const common = { key, version, group, token: this.token };
    return change.kind === 'put'
      ? { kind: 'put', ...common, value: change.value as Buffer }
      : { kind: 'delete', ...common };
  }

  private skipProgress(): void {
    for (let next = this.waiting[this.head]; next !== undefined; next = this.waiting[this.head]) {
      if (next.change !== undefined) return;
      this.shift(next);
    }
  }

  private shift({ group, through, bytes }: Waiting): void {
    this.head++;
    this.waitingBytes -= bytes;
    if (!this.starting.has(group)) this.places.set(group, through);
    if (this.head === this.waiting.length || this.head > MAX_WAITING) {
      this.waiting = this.waiting.slice(this.head);
      this.head = 0;
    }
    if (!this.paused || this.isFull(0.5)) return;
    this.paused = false;
    for (const stream of this.streams) stream.resume();
  }

  private isFull(part: number): boolean {
    return (
      this.waiting.length - this.head > MAX_WAITING * part || this.waitingBytes > MAX_WAITING_BYTES * part
    );
  }

  private finish(error: DwClientError | undefined): void {
    if (this.end !== undefined) return;
    this.end = { error };
    this.unlisten();
    for (const stream of this.streams) stream.stop();
    for (const { resolve, reject } of this.readers.splice(0)) {
      if (error === undefined) resolve({ done: true, value: undefined });
      else reject(error);
    }
    for (const { reject } of this.begun.splice(0)) reject(error ?? closed());
    this.onEnd(this);
  }
}

/** A change that keeps no more than itself of what the socket delivered. */
function owned(change: WatchedChange): WatchedChange {
  return change.kind === 'put' ? { ...change, value: Buffer.from(change.value) } : change;
}
