// Answers for requests that never became one: nonsense on the socket, headers too large or too slow, and addresses
// that the framework itself refuses.

import type { Socket } from 'node:net';
import type { FastifyReply } from 'fastify';
import { DwError } from '@datawarehouse/sdk';
import { badPercentEncoding } from './errors.js';
import { problemHeaders, problemStatus, problemText } from './problem.js';

interface Refusal {
  readonly status: number;
  readonly code: string;
  readonly message: string;
}

const REFUSALS: Readonly<Record<string, Refusal>> = {
  HPE_HEADER_OVERFLOW: {
    status: 431,
    code: 'headers-too-large',
    message: 'the request line and headers are larger than 16 KiB',
  },
  ERR_HTTP_REQUEST_TIMEOUT: {
    status: 408,
    code: 'request-timeout',
    message: 'the request did not arrive in time',
  },
};
const NOT_HTTP: Refusal = { status: 400, code: 'bad-request', message: 'this is not an HTTP request' };

/** Writes a problem document straight to the socket and closes it. */
export function answerClientError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) {
    socket.destroy();
    return;
  }
  const refusal = REFUSALS[error.code ?? ''] ?? NOT_HTTP;
  const problem = new DwError({ ...refusal, retryable: false });
  const body = problemText(problem);
  const headers = {
    ...problemHeaders(problem),
    'content-length': String(Buffer.byteLength(body)),
    connection: 'close',
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  socket.end(`HTTP/1.1 ${refusal.status} ${problem.code}\r\n${lines.join('\r\n')}\r\n\r\n${body}`);
  // A client that neither reads nor closes must not keep the socket.
  socket.setTimeout(5_000, () => socket.destroy());
}

/** Refuses what the framework could not route: an address that is no address. */
export function refuseFramework(reply: FastifyReply): void {
  const problem = badPercentEncoding('path');
  reply.code(problemStatus(problem)).headers(problemHeaders(problem)).send(problemText(problem));
}
