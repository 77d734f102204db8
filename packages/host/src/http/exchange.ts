// One request being answered. What most handlers never look at (the query, the signal) is made when it is looked at.

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { RouteRequest } from '@datawarehouse/sdk';
import { requestAborted } from './errors.js';
import { parseQuery } from './query-string.js';
import type { RouteEntry, RouteMatch } from './route-table.js';

/** A request on its way through the server, and what its handler sees of it. */
export class Exchange implements RouteRequest {
  readonly params: Readonly<Record<string, string>>;
  readonly entry: RouteEntry;
  readonly startedAt = performance.now();
  body: unknown = undefined;
  /** Bytes of the body that are taken from the server's budget. */
  readonly taken = { bytes: 0 };
  /** Set once it was answered, or can no longer be. From then on nothing is sent. */
  settled = false;
  /** A stream may last for ever; it has no deadline, and does not hold up a stop. */
  streaming = false;
  private readonly rawQuery: string;
  private parsedQuery: Readonly<Record<string, string>> | undefined;
  private controller: AbortController | undefined;

  constructor(
    readonly request: IncomingMessage,
    readonly response: ServerResponse,
    match: RouteMatch,
  ) {
    this.entry = match.entry;
    this.params = match.params;
    this.rawQuery = match.query;
  }

  get headers(): Readonly<Record<string, string | undefined>> {
    // Only set-cookie, which requests do not have, would be a list.
    return this.request.headers as Readonly<Record<string, string | undefined>>;
  }

  get query(): Readonly<Record<string, string>> {
    this.parsedQuery ??= parseQuery(this.rawQuery);
    return this.parsedQuery;
  }

  /** An AbortController costs more than the rest of a small request, so there is none until somebody asks. */
  get signal(): AbortSignal {
    if (this.controller === undefined) {
      const controller = new AbortController();
      this.controller = controller;
      if (this.response.destroyed) controller.abort(requestAborted());
      else {
        this.response.once('close', () => {
          if (!this.response.writableFinished) controller.abort(requestAborted());
        });
      }
    }
    return this.controller.signal;
  }

  /** Tells the handler, if it listens, that nobody waits for its answer any more. */
  abort(reason: Error): void {
    this.controller?.abort(reason);
  }
}
