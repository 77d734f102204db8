// `dw resilience try`: lets the node call a URL under a policy, and shows what becomes of each call. On a terminal it is a
// table that is drawn again and again; elsewhere a line for each call.

import type { IncomingMessage } from 'node:http';
import { DwError } from '@datawarehouse/sdk';
import type { CommonOptions } from '../api-client.js';
import { withClient } from '../common-options.js';
import { printLine, write } from '../output.js';
import { parseEvents } from '../server-sent-events.js';
import type { TryEvent } from './resilience-try-view.js';
import { TryView, lineOf } from './resilience-try-view.js';

/** The table is drawn at most so often. */
const DRAW_EVERY_MS = 100;

/** Options of `dw resilience try`. */
export interface TryCommandOptions extends CommonOptions {
  readonly calls: number;
  readonly concurrency: number;
  readonly interval: number;
  readonly key?: string;
  readonly head?: boolean;
}

/** `dw resilience try POLICY URL`. */
export async function tryPolicy(policy: string, url: string, options: TryCommandOptions): Promise<void> {
  const { calls, concurrency, interval, key, head } = options;
  await withClient(options, async (client) => {
    const response = await client.stream(
      `/v1/resilience/policies/${encodeURIComponent(policy)}/try`,
      {
        json: {
          url,
          calls,
          concurrency,
          intervalMs: interval,
          ...(key === undefined ? {} : { key }),
          ...(head === true ? { method: 'HEAD' } : {}),
        },
      },
      'POST',
    );
    let stopped = false;
    const stop = (): void => {
      stopped = true;
      response.destroy();
    };
    process.once('SIGINT', stop);
    try {
      const done = await show(response, options.json === true);
      if (!done && !stopped) throw cutShort(options.url);
    } catch (thrown) {
      // Ctrl-C breaks the stream off, which is what was wanted.
      if (!stopped) throw thrown;
    } finally {
      process.off('SIGINT', stop);
      response.destroy();
    }
  });
}

/** @returns whether the run was told to its end. */
async function show(response: IncomingMessage, json: boolean): Promise<boolean> {
  const view = new TryView();
  const live = !json && process.stdout.isTTY;
  let drawn = 0;
  let drawnAt = -Infinity;
  let done = false;
  const draw = async (): Promise<void> => {
    // Some terminals do not know how wide they are, and say 0.
    const { columns } = process.stdout;
    const lines = view.lines(columns > 0 ? columns : 100);
    // Up to where the table began, and clear from there.
    await write(`${drawn === 0 ? '' : `\u001b[${drawn}A\u001b[0J`}${lines.join('\n')}\n`);
    drawn = lines.length;
    drawnAt = performance.now();
  };
  for await (const { data } of parseEvents(response as AsyncIterable<Buffer>)) {
    const event = JSON.parse(data) as TryEvent;
    view.take(event);
    if (event.kind === 'done') done = true;
    if (json) await printLine(data);
    else if (!live) await printLine(lineOf(event));
    else if (done || performance.now() - drawnAt >= DRAW_EVERY_MS) await draw();
  }
  if (live && !done) await draw();
  return done;
}

function cutShort(url: string): DwError {
  return new DwError({
    code: 'try-cut-short',
    message: `${url} ended the run before it was over`,
    retryable: true,
    hint: 'look at the log of the host',
  });
}
