// The changes of one group, over as many connections as it takes: when one is lost, or the leader changes, it goes on
// right after the last change that it has handed on. So none is missed and none comes twice.

import type { AnswerStatus, WatchedChanges } from '@datawarehouse/sdk/client-protocol';
import { isDwError, readChanges, readError } from '@datawarehouse/sdk/client-protocol';
import { backoffMs } from '../connection/backoff.js';
import type { Connection } from '../connection/connection.js';
import { DwClientError } from '../errors.js';

const RETRY = { firstMs: 20, longestMs: 1_000 };

/** What a stream needs of its client. */
export interface StreamHost {
  /** A connection to ask for the changes of a group; `relay`: it is not the leader's. Undefined: none now. */
  route(group: string): { readonly connection: Connection; readonly relay: boolean } | undefined;
  readonly random: () => number;
}

/** Where a stream hands its changes on. */
export interface StreamSink {
  changed(group: string, changes: WatchedChanges): void;
  /** The stream cannot go on. */
  failed(error: DwClientError): void;
}

/** The changes of keys with a prefix in one group. */
export class GroupStream {
  private sentOn: Connection | undefined;
  private requestId = 0;
  private timer: NodeJS.Timeout | undefined;
  private failures = 0;
  private state: 'running' | 'paused' | 'over' = 'running';

  /** @param after The last version that was handed on; undefined: begin now. */
  constructor(
    readonly group: string,
    private readonly prefix: string,
    private after: number | undefined,
    private readonly host: StreamHost,
    private readonly sink: StreamSink,
  ) {}

  /** Asks for the changes, unless that is under way. Call it again when leaders or connections have changed. */
  run(): void {
    if (this.state !== 'running' || this.sentOn !== undefined || this.timer !== undefined) return;
    const route = this.host.route(this.group);
    if (route === undefined) {
      this.retry();
      return;
    }
    const { connection, relay } = route;
    this.sentOn = connection;
    const operation = { op: 'watch', group: this.group, prefix: this.prefix, after: this.after } as const;
    const requestId = connection.request(operation, 0, relay, {
      onAnswer: (status, body) => {
        if (this.isCurrent(connection, requestId)) this.answered(status, body);
      },
      onLost: () => {
        if (!this.isCurrent(connection, requestId)) return;
        this.sentOn = undefined;
        this.retry();
      },
    });
    this.requestId = requestId;
  }

  /** Takes no more for now. */
  pause(): void {
    if (this.state !== 'running') return;
    this.state = 'paused';
    this.drop();
  }

  /** Goes on after {@link pause}. */
  resume(): void {
    if (this.state !== 'paused') return;
    this.state = 'running';
    this.run();
  }

  /** Ends for good. */
  stop(): void {
    this.state = 'over';
    this.drop();
  }

  private isCurrent(connection: Connection, requestId: number): boolean {
    return this.sentOn === connection && this.requestId === requestId;
  }

  private answered(status: AnswerStatus, body: Buffer): void {
    if (status === 'event') {
      this.took(readChanges(body));
      return;
    }
    this.sentOn = undefined;
    const error = status === 'error' ? readError(body) : undefined;
    if (error !== undefined && !error.retryable && !isDwError(error, 'aborted')) {
      this.state = 'over';
      const { code, message, hint, details } = error;
      this.sink.failed(new DwClientError({ code, message, hint, details }));
      return;
    }
    this.retry();
  }

  private took({ changes, through }: WatchedChanges): void {
    this.failures = 0;
    const { after } = this;
    // A node that tells what was handed on before would make its watchers see it twice.
    const fresh = after === undefined ? changes : changes.filter(({ version }) => version > after);
    this.after = Math.max(after ?? 0, through);
    this.sink.changed(this.group, { changes: fresh, through: this.after });
  }

  private retry(): void {
    if (this.state !== 'running' || this.timer !== undefined) return;
    this.failures++;
    this.timer = setTimeout(
      () => {
        this.timer = undefined;
        this.run();
      },
      backoffMs(RETRY, this.failures, this.host.random),
    );
  }

  private drop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.sentOn?.cancel(this.requestId);
    this.sentOn = undefined;
  }
}
