// Sends a stream (server-sent events, say) to a client as fast as the client reads and no faster. A reader that stops
// reading is cut off: neither the source nor this process may be held up or filled by it.

import type { ServerResponse } from 'node:http';

/** How a stream ended. */
export type StreamEnd = 'done' | 'client-gone' | 'slow-reader';

/** Milliseconds that a client may leave a full buffer unread. */
export const SLOW_READER_MS = 10_000;

function drained(response: ServerResponse, slowMs: number): Promise<StreamEnd | undefined> {
  return new Promise((resolve) => {
    const finish = (end: StreamEnd | undefined) => (): void => {
      clearTimeout(timer);
      response.off('drain', onDrain);
      response.off('close', onClose);
      resolve(end);
    };
    const onDrain = finish(undefined);
    const onClose = finish('client-gone');
    const timer = setTimeout(finish('slow-reader'), slowMs);
    response.once('drain', onDrain);
    response.once('close', onClose);
  });
}

/**
 * Writes the stream to a response whose head has been sent. Ends or destroys the response in every case.
 * @throws what the stream throws; the response is destroyed then, so that the client sees that it is cut short.
 */
export async function pumpStream(
  response: ServerResponse,
  stream: AsyncIterable<string | Uint8Array>,
  signal: AbortSignal,
  slowMs: number = SLOW_READER_MS,
): Promise<StreamEnd> {
  const iterator = stream[Symbol.asyncIterator]();
  let wake: (() => void) | undefined;
  const onAbort = (): void => wake?.();
  signal.addEventListener('abort', onAbort, { once: true });
  let end: StreamEnd = 'client-gone';
  try {
    while (!signal.aborted && !response.destroyed) {
      // One promise for each step: racing against one long-lived promise would pile up reactions on it for ever.
      const step = await new Promise<IteratorResult<string | Uint8Array> | undefined>((resolve, reject) => {
        wake = () => resolve(undefined);
        iterator.next().then(resolve, reject);
      });
      if (step === undefined) break;
      if (step.done === true) {
        end = 'done';
        break;
      }
      if (response.write(step.value)) continue;
      const cut = await drained(response, slowMs);
      if (cut !== undefined) {
        end = cut;
        break;
      }
    }
    return end;
  } catch (thrown) {
    end = 'client-gone';
    throw thrown;
  } finally {
    signal.removeEventListener('abort', onAbort);
    if (end === 'done' || (signal.aborted && !response.destroyed)) response.end();
    if (end === 'slow-reader' || end === 'client-gone') {
      // A stop ends a stream in order; everything else that ends it early must show as broken off.
      if (!signal.aborted) response.destroy();
    }
    // A generator that waits for something that never comes never returns either, so nobody waits for it. What it
    // throws while it cleans up is its own; the stream has ended.
    iterator.return?.().catch(() => {});
  }
}
