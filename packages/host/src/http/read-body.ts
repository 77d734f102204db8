// Reads a request's body into memory, within the route's bound and the server's budget; and gets rid of a body that
// nobody wants, so that the client can read why.

import type { IncomingMessage } from 'node:http';
import type { ByteBudget } from './byte-budget.js';
import { bodyTooLarge, overloaded, requestAborted } from './errors.js';

const EMPTY = Buffer.alloc(0);
/** A client that sends more than this after it was refused is cut off. */
const MAX_DISCARDED = 8 * 1024 * 1024;

/** The declared length, or undefined when the body comes in chunks. */
export function declaredLength(request: IncomingMessage): number | undefined {
  const header = request.headers['content-length'];
  if (header !== undefined) return Number(header);
  return request.headers['transfer-encoding'] === undefined ? 0 : undefined;
}

/**
 * Reads the whole body. Hot path. What it takes from the budget, `release` gives back; the caller calls it once the
 * body is no longer needed, also after an error.
 * @throws DwError `body-too-large`, `overloaded`, `request-aborted`.
 */
export function readBody(
  request: IncomingMessage,
  most: number,
  budget: ByteBudget,
  taken: { bytes: number },
): Promise<Buffer> {
  const declared = declaredLength(request);
  if (declared === 0) return Promise.resolve(EMPTY);
  if (declared !== undefined && declared > most) return Promise.reject(bodyTooLarge(most));
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const stop = (): void => {
      request.off('data', onData);
      request.off('end', onEnd);
      request.off('close', onClose);
      request.off('error', onClose);
    };
    const fail = (error: Error): void => {
      stop();
      reject(error);
    };
    const onData = (chunk: Buffer): void => {
      length += chunk.length;
      if (length > most) return fail(bodyTooLarge(most));
      if (!budget.tryTake(chunk.length)) return fail(overloaded(`${budget.total} bytes of bodies in memory`));
      taken.bytes += chunk.length;
      chunks.push(chunk);
    };
    const onEnd = (): void => {
      stop();
      const first = chunks[0];
      resolve(chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks, length));
    };
    const onClose = (): void => fail(requestAborted());
    request.on('data', onData);
    request.on('end', onEnd);
    request.on('close', onClose);
    request.on('error', onClose);
  });
}

/** Reads and forgets what remains of a body, and cuts the client off when it does not end. */
export function discardBody(request: IncomingMessage): void {
  if (request.readableEnded || request.destroyed) return;
  if (declaredLength(request) === 0) return;
  let length = 0;
  request.on('data', (chunk: Buffer) => {
    length += chunk.length;
    if (length > MAX_DISCARDED) request.destroy();
  });
  // A client that goes away here is no news.
  request.on('error', () => {});
  request.resume();
}
