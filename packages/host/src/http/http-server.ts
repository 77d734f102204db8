// The HTTP server: fastify in front, and behind it one handler that looks up the route table, refuses what must be
// refused before the body is read, reads the body within bounds, and answers. The path of a bytes route is hot.

import type { Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { isDwError } from '@datawarehouse/sdk';
import type { DwError, Logger, RouteResponse } from '@datawarehouse/sdk';
import type { NodeConfig } from '../config/node-config.js';
import { SchemaChecker } from '../schema/schema-checker.js';
import { bearerCheck } from './bearer-token.js';
import { ByteBudget } from './byte-budget.js';
import { createApp } from './create-app.js';
import {
  crossSite,
  handlerLate,
  internalError,
  listenFailed,
  methodNotAllowed,
  notFound,
  notServedNow,
  overloaded,
  stopping,
  unauthorized,
} from './errors.js';
import { Exchange } from './exchange.js';
import { checkInput } from './check-input.js';
import { DEFAULT_HTTP_LIMITS } from './http-server-limits.js';
import type { HttpServerLimits } from './http-server-limits.js';
import { HttpSubsystem } from './http-subsystem.js';
import { problemHeaders, problemStatus, problemText } from './problem.js';
import { pumpStream } from './pump-stream.js';
import { discardBody, readBody } from './read-body.js';
import { HOST_OWNER } from './route-table.js';
import type { RouteEntry, RouteTable } from './route-table.js';
import { bodyOf } from './response-body.js';

/** What the server needs. */
export interface HttpServerOptions {
  readonly config: Pick<NodeConfig, 'http'>;
  readonly routes: RouteTable;
  readonly log: Logger;
  readonly limits?: Partial<HttpServerLimits>;
}

/** Counters of the server since it was made. */
export interface HttpServerStatistics {
  requests: number;
  /** Refused because too much was under way. */
  overloaded: number;
  unauthorized: number;
  /** Streams that were cut off because their reader did not read. */
  slowReaders: number;
  /** Connections closed because there were too many. */
  connectionsDropped: number;
  /** Connections that did not speak HTTP, or too slowly. */
  clientErrors: number;
}

const DEFAULT_BODY_BYTES = 1024 * 1024;
const SWEEP_MS = 1_000;
/** These tell only that the process is there and whether it serves; probes of orchestrators carry no token. */
const OPEN_PATHS: ReadonlySet<string> = new Set(['/healthz', '/readyz']);
const READS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

/** Serves the route table over HTTP. */
export class HttpServer {
  /** Counted in plain fields; exported when somebody asks. */
  readonly statistics: HttpServerStatistics = {
    requests: 0,
    overloaded: 0,
    unauthorized: 0,
    slowReaders: 0,
    connectionsDropped: 0,
    clientErrors: 0,
  };
  /**
   * Set by whoever knows whether a path that nobody serves may be served soon: the reason, or undefined when it is
   * simply not there.
   */
  whyUnserved: (() => string | undefined) | undefined;
  /** Its bounds for operators. */
  readonly subsystem: HttpSubsystem;
  private limits: HttpServerLimits;
  private readonly budget: ByteBudget;
  /** Requests under way, oldest first. Bounded by `maxRequests`. */
  private readonly active = new Set<Exchange>();
  private readonly authorized: ((authorization: string | undefined) => boolean) | undefined;
  /** Bodies come from strangers: the first error is enough. */
  private readonly bodies = new SchemaChecker({ allErrors: false, root: 'the body' });
  private readonly texts = new SchemaChecker({ allErrors: false, coerce: true, root: 'the query' });
  private readonly preparations: (() => Promise<void>)[] = [];
  private connections = 0;
  private app: FastifyInstance | undefined;
  private sweeper: NodeJS.Timeout | undefined;
  private closing = false;
  private closed: Promise<void> | undefined;
  private onIdle: (() => void) | undefined;

  constructor(private readonly options: HttpServerOptions) {
    this.limits = { ...DEFAULT_HTTP_LIMITS, ...options.limits };
    this.budget = new ByteBudget(this.limits.maxBodyBytesInMemory);
    this.subsystem = new HttpSubsystem(
      this.limits,
      () => ({ requests: this.active.size, bodyBytes: this.budget.used, connections: this.connections }),
      (limits) => this.applyLimits(limits),
    );
    const { token } = options.config.http;
    this.authorized = token === undefined ? undefined : bearerCheck(token);
  }

  /** Does something before the listener opens, once. */
  beforeListen(prepare: () => Promise<void>): void {
    this.preparations.push(prepare);
  }

  /** Requests under way now. */
  get underWay(): number {
    return this.active.size;
  }

  /**
   * Opens the listener. With port 0 the system chooses one.
   * @throws DwError `http-listen-failed`, `http-tls-unusable`; what a preparation throws.
   */
  async listen(): Promise<{ readonly url: string; readonly port: number }> {
    const { host, port, tls } = this.options.config.http;
    for (const prepare of this.preparations) await prepare();
    const app = await createApp(this.limits, tls, {
      handle: (request, reply) => this.handle(request, reply),
      failed: (error, reply) => {
        this.options.log.error({ error }, 'the HTTP framework failed');
        this.refuse(reply, internalError(error));
      },
      clientError: () => (this.statistics.clientErrors += 1),
      dropped: () => (this.statistics.connectionsDropped += 1),
    });
    this.app = app;
    app.server.on('connection', (socket: Socket) => {
      this.connections += 1;
      socket.once('close', () => (this.connections -= 1));
    });
    try {
      await app.listen({ host, port, backlog: 1_024 });
    } catch (thrown) {
      await app.close();
      throw listenFailed(host, port, thrown as NodeJS.ErrnoException);
    }
    this.startSweeper();
    const bound = (app.server.address() as AddressInfo).port;
    const shown = host.includes(':') ? `[${host}]` : host;
    return { url: `${tls === undefined ? 'http' : 'https'}://${shown}:${bound}`, port: bound };
  }

  /**
   * Takes no new request, lets those under way finish within `drainMs`, ends streams, and closes every connection.
   * Calling it again waits for the same end.
   */
  close(): Promise<void> {
    this.closed ??= this.shutDown();
    return this.closed;
  }

  private applyLimits(limits: HttpServerLimits): void {
    this.limits = limits;
    this.budget.total = limits.maxBodyBytesInMemory;
    if (this.app === undefined) return;
    this.app.server.maxConnections = limits.maxConnections;
    this.startSweeper();
  }

  private startSweeper(): void {
    clearInterval(this.sweeper);
    if (this.closing) return;
    this.sweeper = setInterval(() => this.expireLate(), Math.min(SWEEP_MS, this.limits.handlerMs));
    this.sweeper.unref();
  }

  /** Hot path. */
  private handle(request: FastifyRequest, reply: FastifyReply): void {
    this.statistics.requests += 1;
    let exchange: Exchange | undefined;
    try {
      exchange = this.admit(request, reply);
    } catch (thrown) {
      discardBody(request.raw);
      this.refuse(reply, this.asDwError(thrown, undefined));
      return;
    }
    if (exchange === undefined) return;
    this.active.add(exchange);
    const { route } = exchange.entry;
    if (route.body === undefined) {
      // Nobody asked for a body. A small `{}` from a well-meaning client harms nobody.
      discardBody(request.raw);
      this.invoke(exchange, reply);
      return;
    }
    const most = typeof route.maxBodyBytes === 'function' ? route.maxBodyBytes() : route.maxBodyBytes;
    readBody(request.raw, most ?? DEFAULT_BODY_BYTES, this.budget, exchange.taken).then(
      (bytes) => {
        exchange.body = bytes;
        this.invoke(exchange, reply);
      },
      (thrown: unknown) => {
        discardBody(request.raw);
        this.fail(exchange, reply, thrown);
      },
    );
  }

  /** Everything that may refuse a request before its body is read. Undefined: it is answered already. */
  private admit(request: FastifyRequest, reply: FastifyReply): Exchange | undefined {
    const { raw } = request;
    const method = raw.method ?? 'GET';
    const url = raw.url ?? '/';
    const match = this.options.routes.match(method === 'HEAD' ? 'GET' : method, url);
    const path = match?.entry.route.path;
    if (this.authorized !== undefined && (path === undefined || !OPEN_PATHS.has(path))) {
      if (!this.authorized(raw.headers.authorization)) {
        this.statistics.unauthorized += 1;
        throw unauthorized();
      }
    }
    if (match === undefined) {
      this.answerUnrouted(method, url, reply);
      return undefined;
    }
    if (this.closing) throw stopping();
    const { origin } = raw.headers;
    if (origin !== undefined && !READS.has(method)) refuseCrossSite(origin, raw.headers.host);
    // The host's own calls stay open under load: who looks after the node must be able to see it and to undo a limit.
    if (this.active.size >= this.limits.maxRequests && match.entry.owner !== HOST_OWNER) {
      throw overloaded(`${this.limits.maxRequests} requests under way`);
    }
    const { route, run } = match.entry;
    if (route.admit !== undefined) run(route.admit);
    return new Exchange(raw, reply.raw, match);
  }

  private answerUnrouted(method: string, url: string, reply: FastifyReply): void {
    const allowed = this.options.routes.methodsOf(url);
    const path = url.split('?', 1)[0] ?? url;
    if (allowed.length === 0) {
      const owner = this.options.routes.formerOwner(url);
      const why = owner === undefined ? this.whyUnserved?.() : `${owner}, which served it, is not active`;
      throw why === undefined ? notFound(method, path) : notServedNow(path, why);
    }
    if (method !== 'OPTIONS') throw methodNotAllowed(method, path, allowed);
    reply.code(204).header('allow', allowed.join(', ')).send();
  }

  private invoke(exchange: Exchange, reply: FastifyReply): void {
    const { entry } = exchange;
    try {
      checkInput(exchange, this.bodies, this.texts);
      const result = entry.run(() => entry.route.handler(exchange));
      if (isPromiseLike(result)) {
        result.then(
          (response) => this.answer(exchange, reply, response),
          (thrown: unknown) => this.fail(exchange, reply, thrown),
        );
      } else this.answer(exchange, reply, result);
    } catch (thrown) {
      this.fail(exchange, reply, thrown);
    }
  }

  private answer(exchange: Exchange, reply: FastifyReply, response: RouteResponse): void {
    if (exchange.settled) return;
    if (exchange.response.destroyed) {
      this.settle(exchange, 0);
      return;
    }
    try {
      const status = response.status ?? 200;
      if (response.stream !== undefined && exchange.request.method !== 'HEAD') {
        this.startStream(exchange, reply, response, response.stream);
        return;
      }
      reply.code(status);
      if (response.headers !== undefined) reply.headers(response.headers);
      if (this.closing) reply.header('connection', 'close');
      const body = bodyOf(response, reply);
      this.settle(exchange, status);
      reply.send(body);
    } catch (thrown) {
      if (exchange.settled) this.options.log.error({ error: thrown }, 'an answer could not be sent');
      else this.fail(exchange, reply, thrown);
    }
  }

  private startStream(
    exchange: Exchange,
    reply: FastifyReply,
    response: RouteResponse,
    stream: AsyncIterable<string | Uint8Array>,
  ): void {
    const { response: raw, entry } = exchange;
    const { signal } = exchange;
    raw.writeHead(response.status ?? 200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      ...response.headers,
    });
    raw.flushHeaders();
    reply.hijack();
    exchange.streaming = true;
    this.wakeIfIdle();
    pumpStream(raw, stream, signal, this.limits.slowReaderMs)
      .then((end) => {
        if (end === 'slow-reader') {
          this.statistics.slowReaders += 1;
          this.options.log.warn(
            { method: entry.route.method, path: entry.route.path },
            'the reader of a stream did not read and was cut off',
          );
        }
      })
      .catch((thrown: unknown) => this.reportFailure(entry, thrown))
      .finally(() => this.settle(exchange, response.status ?? 200));
  }

  private fail(exchange: Exchange, reply: FastifyReply, thrown: unknown): void {
    if (exchange.settled) return;
    if (exchange.response.destroyed) {
      // Nobody is there to be told; that a handler stops because its client went away is no failure of it.
      this.settle(exchange, 0);
      if (!isDwError(thrown) && (thrown as Error | undefined)?.name !== 'AbortError') {
        this.reportFailure(exchange.entry, thrown);
      }
      return;
    }
    const error = this.asDwError(thrown, exchange.entry);
    this.settle(exchange, problemStatus(error));
    this.refuse(reply, error);
  }

  private settle(exchange: Exchange, status: number): void {
    exchange.settled = true;
    this.active.delete(exchange);
    if (exchange.taken.bytes > 0) this.budget.give(exchange.taken.bytes);
    if (!exchange.streaming) {
      exchange.entry.statistics.record(status, performance.now() - exchange.startedAt);
    }
    this.wakeIfIdle();
  }

  private refuse(reply: FastifyReply, error: DwError): void {
    if (error.code === 'overloaded') this.statistics.overloaded += 1;
    if (reply.sent || reply.raw.destroyed) return;
    if (this.closing) reply.header('connection', 'close');
    reply.code(problemStatus(error)).headers(problemHeaders(error)).send(problemText(error));
  }

  private asDwError(thrown: unknown, entry: RouteEntry | undefined): DwError {
    if (isDwError(thrown)) return thrown;
    if (entry === undefined) this.options.log.error({ error: thrown }, 'a request failed before its handler');
    else this.reportFailure(entry, thrown);
    return internalError(thrown);
  }

  private reportFailure(entry: RouteEntry, thrown: unknown): void {
    const { owner, route } = entry;
    this.options.log.error(
      { plugin: owner, method: route.method, path: route.path, error: thrown },
      'the handler of a route failed',
    );
    this.options.routes.onFailure?.(owner, thrown, route);
  }

  /** Answers for handlers that do not. Requests are in order of arrival, so it looks no further than the first in time. */
  private expireLate(): void {
    const { handlerMs } = this.limits;
    const oldest = performance.now() - handlerMs;
    for (const exchange of this.active) {
      if (exchange.startedAt > oldest) return;
      if (exchange.streaming) continue;
      const { method, path } = exchange.entry.route;
      const error = handlerLate(method, path, handlerMs);
      this.options.log.warn(
        { plugin: exchange.entry.owner, method, path, afterMs: handlerMs },
        'a handler did not answer in time',
      );
      this.settle(exchange, problemStatus(error));
      exchange.abort(error);
      const { response } = exchange;
      if (response.headersSent || response.destroyed) continue;
      response.writeHead(problemStatus(error), { ...problemHeaders(error), connection: 'close' });
      response.end(problemText(error));
    }
  }

  private async shutDown(): Promise<void> {
    this.closing = true;
    clearInterval(this.sweeper);
    const { app } = this;
    if (app === undefined) return;
    const server: Server = app.server;
    const closed = app.close();
    await this.idle();
    for (const exchange of this.active) exchange.abort(stopping());
    // A turn for the answers of those that were just told.
    await new Promise((resolve) => setImmediate(resolve));
    server.closeIdleConnections();
    const force = setTimeout(() => server.closeAllConnections(), 100);
    try {
      await closed;
    } finally {
      clearTimeout(force);
    }
  }

  /** Resolves when no request but streams is under way, or after `drainMs`. */
  private idle(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, this.limits.drainMs);
      this.onIdle = () => {
        clearTimeout(timer);
        resolve();
      };
      this.wakeIfIdle();
    });
  }

  private wakeIfIdle(): void {
    if (this.onIdle === undefined) return;
    for (const exchange of this.active) if (!exchange.streaming) return;
    this.onIdle();
  }
}

function isPromiseLike(result: RouteResponse | Promise<RouteResponse>): result is Promise<RouteResponse> {
  return typeof (result as Promise<RouteResponse> | undefined)?.then === 'function';
}

/**
 * A page of another site must not make a browser on this machine change things here. Scripts and commands send no
 * Origin; browsers always do with a call that changes something.
 */
function refuseCrossSite(origin: string, host: string | undefined): void {
  let originHost: string | undefined;
  try {
    originHost = new URL(origin).host;
  } catch {
    // `null`, or nonsense: not this site.
  }
  if (originHost === undefined || originHost !== host) throw crossSite(origin);
}
