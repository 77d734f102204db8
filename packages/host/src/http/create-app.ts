// Sets up fastify as the host uses it: one handler for every method and path, bodies left unread for that handler,
// timeouts against slow clients, TLS.

import { readFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import fastify from 'fastify';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { HttpTlsFiles } from '../config/node-config.js';
import { answerClientError, refuseFramework } from './client-error.js';
import { tlsUnusable } from './errors.js';
import { MAX_HEADER_BYTES } from './http-server-limits.js';
import type { HttpServerLimits } from './http-server-limits.js';

/** What the server is told by the framework. */
export interface AppEvents {
  /** Answers a request. Its body has not been read. */
  handle(request: FastifyRequest, reply: FastifyReply): void;
  /** Something went wrong in the framework itself. */
  failed(error: unknown, reply: FastifyReply): void;
  /** A connection did not speak HTTP, or too slowly. */
  clientError(): void;
  /** A connection was closed at once because there are too many. */
  dropped(): void;
}

async function readTls(tls: HttpTlsFiles): Promise<{ cert: Buffer; key: Buffer; ca?: Buffer }> {
  const [cert, key, ca] = await Promise.all([
    readFile(tls.cert),
    readFile(tls.key),
    tls.ca === undefined ? undefined : readFile(tls.ca),
  ]);
  return { cert, key, ...(ca && { ca }) };
}

function build(limits: HttpServerLimits, events: AppEvents, tls: object | undefined): FastifyInstance {
  const server = { headersTimeout: limits.headersMs, maxHeaderSize: MAX_HEADER_BYTES };
  const options = {
    ...(tls === undefined ? { http: server } : { https: { ...server, ...tls, minVersion: 'TLSv1.2' } }),
    exposeHeadRoutes: false,
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    keepAliveTimeout: limits.keepAliveMs,
    requestTimeout: limits.requestMs,
    // The route table parses path and query; fastify has one route and needs neither.
    routerOptions: { maxParamLength: MAX_HEADER_BYTES, querystringParser: () => ({}) },
    frameworkErrors: (_error: Error, _request: FastifyRequest, reply: FastifyReply) => refuseFramework(reply),
    clientErrorHandler: (error: NodeJS.ErrnoException, socket: Socket) => {
      events.clientError();
      answerClientError(error, socket);
    },
  };
  // The type of an instance depends on whether it has TLS, which is known at run time only.
  return fastify(options as object);
}

/**
 * Makes the application, ready to listen.
 * @throws DwError `http-tls-unusable`.
 */
export async function createApp(
  limits: HttpServerLimits,
  tls: HttpTlsFiles | undefined,
  events: AppEvents,
): Promise<FastifyInstance> {
  let app: FastifyInstance;
  try {
    app = build(limits, events, tls === undefined ? undefined : await readTls(tls));
  } catch (thrown) {
    if (tls === undefined) throw thrown;
    throw tlsUnusable(thrown);
  }
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, _payload, done) => done(null));
  const handler = (request: FastifyRequest, reply: FastifyReply): void => events.handle(request, reply);
  app.route({ method: ['GET', 'HEAD', 'PUT', 'POST', 'PATCH', 'DELETE', 'OPTIONS'], url: '*', handler });
  app.setNotFoundHandler(handler);
  app.setErrorHandler((error, _request, reply) => events.failed(error, reply));
  const server: Server = app.server;
  server.maxConnections = limits.maxConnections;
  server.on('drop', () => events.dropped());
  await app.ready();
  return app;
}
