// What goes over the wire for a route's response body: bytes and text as they are, everything else as JSON.

import type { FastifyReply } from 'fastify';
import type { RouteResponse } from '@datawarehouse/sdk';

const JSON_TYPE = 'application/json; charset=utf-8';

/**
 * The body as fastify sends it without looking at it, and its content type set unless the route did. Hot path.
 * @throws TypeError when the body is not JSON (a cycle, a BigInt).
 */
export function bodyOf(response: RouteResponse, reply: FastifyReply): Buffer | string | undefined {
  const { body } = response;
  if (body === undefined || body === null) return undefined;
  if (Buffer.isBuffer(body)) return body;
  if (body instanceof Uint8Array) return Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  if (typeof body === 'string') return body;
  if (!reply.hasHeader('content-type')) reply.header('content-type', JSON_TYPE);
  return JSON.stringify(body);
}
