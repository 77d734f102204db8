// The routes of the HTTP API. They come and go with plugins while the server runs, so the table is its own, on
// find-my-way, and the server asks it at each request.

import router from 'find-my-way';
import type { RouteDefinition } from '@datawarehouse/sdk';
import { badPercentEncoding, routeInvalid, routesFull, routeTaken, uriTooLong } from './errors.js';
import { RouteStatistics } from './route-statistics.js';

/** Runs a handler in its owner's context, so that what fails in it is attributed to the owner. */
export type RunInOwner = <T>(fn: () => T) => T;

/** Told of what a handler threw that is not a DwError. */
export type RouteFailureListener = (owner: string, error: unknown, route: RouteDefinition) => void;

/** A registered route. */
export interface RouteEntry {
  readonly owner: string;
  readonly route: RouteDefinition;
  readonly run: RunInOwner;
  readonly statistics: RouteStatistics;
}

/** A route that matches a request. */
export interface RouteMatch {
  readonly entry: RouteEntry;
  /** Percent-decoded. */
  readonly params: Readonly<Record<string, string>>;
  /** The query as it came, without `?`. */
  readonly query: string;
}

/** Owner of the host's own routes. */
export const HOST_OWNER = 'host';

const METHODS = ['GET', 'PUT', 'POST', 'PATCH', 'DELETE'] as const;
/** Plain segments, `:name` segments, and at most one `*` at the end: no regular expressions from plugins. */
const PATH = /^(?:\/|(?:\/(?:[A-Za-z0-9._~-]+|:[A-Za-z][A-Za-z0-9_]*))+(?:\/\*)?|\/\*)$/;
const MAX_PATH = 512;
/** Far more than any host has; it stops a plugin that registers routes in a loop. */
const MAX_ROUTES = 10_000;
/** Statistics of routes that are gone are kept, so that counters never step back; this many of them. */
const MAX_STATISTICS = 2_000;
/** Routes that are gone and are still known, so that asking for one is answered with "not now" and not with "never". */
const MAX_RETIRED = 2_000;
/** Longest path parameter, decoded: a key of 1 024 bytes, or the rest of a path. */
const MAX_PARAMETER = 8 * 1024;

function shapeOf(method: string, path: string): string {
  return `${method} ${path.replaceAll(/:[^/]+/g, ':')}`;
}

/** All routes, with their owners. */
export class RouteTable {
  /** Set by whoever wants to hear of handlers that throw. */
  onFailure: RouteFailureListener | undefined;
  private readonly router = router({
    maxParamLength: MAX_PARAMETER,
    // The query is parsed only if a handler looks at it.
    querystringParser: (text) => text,
    // These two make `find` answer without a store, which no route does; see match().
    onBadUrl: () => {},
    onMaxParamLength: () => {},
  });
  /** Routes of plugins that were stopped; at most {@link MAX_RETIRED}. One that is back is found in `router` first. */
  private readonly retired = router({ maxParamLength: MAX_PARAMETER, querystringParser: (text) => text });
  private readonly retiredShapes = new Set<string>();
  private readonly entries = new Map<string, RouteEntry>();
  private readonly statistics = new Map<string, RouteStatistics>();

  /**
   * Adds a route until it is disposed of.
   * @throws DwError `route-taken` naming the owner of the same method and path; `route-invalid`; `routes-full`.
   */
  add(owner: string, route: RouteDefinition, run: RunInOwner): Disposable {
    const { method, path } = route;
    if (!METHODS.includes(method)) {
      throw routeInvalid(owner, method, path, `the method must be one of ${METHODS.join(', ')}`);
    }
    if (typeof path !== 'string' || path.length > MAX_PATH || !PATH.test(path)) {
      throw routeInvalid(owner, method, path, 'the path has a form that is not allowed');
    }
    if (typeof route.handler !== 'function') throw routeInvalid(owner, method, path, 'it has no handler');
    const shape = shapeOf(method, path);
    const taken = this.entries.get(shape);
    if (taken !== undefined) throw routeTaken(method, path, taken.owner, owner);
    if (this.entries.size >= MAX_ROUTES) throw routesFull(owner, MAX_ROUTES);
    const entry: RouteEntry = { owner, route, run, statistics: this.statisticsOf(`${method} ${path}`) };
    this.router.on(method, path, () => {}, entry);
    this.entries.set(shape, entry);
    return { [Symbol.dispose]: () => this.remove(shape, entry) };
  }

  /** Routes of one owner, or of all. */
  count(owner?: string): number {
    if (owner === undefined) return this.entries.size;
    let count = 0;
    for (const entry of this.entries.values()) if (entry.owner === owner) count += 1;
    return count;
  }

  /** All routes, in order of registration. */
  list(): readonly RouteEntry[] {
    return [...this.entries.values()];
  }

  /**
   * The route of a request, or undefined. Hot path.
   * @param url path and query as they came.
   * @throws DwError `bad-percent-encoding`, `uri-too-long`.
   */
  match(method: string, url: string): RouteMatch | undefined {
    const found = this.router.find(method as 'GET', url);
    if (found === null) return undefined;
    const entry = found.store as RouteEntry | null | undefined;
    if (entry === null || entry === undefined) throw this.unmatchable(url);
    return {
      entry,
      params: found.params as Record<string, string>,
      query: found.searchParams as unknown as string,
    };
  }

  /** The methods that a path answers. Empty when there is nothing. */
  methodsOf(url: string): string[] {
    const methods: string[] = METHODS.filter((method) => this.router.find(method, url) !== null);
    if (methods.includes('GET')) methods.push('HEAD');
    if (methods.length > 0) methods.push('OPTIONS');
    return methods;
  }

  /** Who served a path, by whatever method, before its plugin was stopped; undefined when nobody did. */
  formerOwner(url: string): string | undefined {
    for (const method of METHODS) {
      const found = this.retired.find(method, url);
      if (found !== null) return found.store as string;
    }
    return undefined;
  }

  /** Counters by `METHOD /path/:parameter`, those of routes that are gone included. */
  allStatistics(): ReadonlyMap<string, RouteStatistics> {
    return this.statistics;
  }

  private unmatchable(url: string): Error {
    try {
      decodeURI(url.split('?', 1)[0] ?? '');
    } catch {
      return badPercentEncoding('path');
    }
    return uriTooLong('a part of the path', MAX_PARAMETER);
  }

  private statisticsOf(template: string): RouteStatistics {
    const known = this.statistics.get(template);
    if (known !== undefined) return known;
    // Plugins that come back under ever new paths share one counter once there are too many.
    const key = this.statistics.size < MAX_STATISTICS ? template : 'OTHER /*';
    const statistics = this.statistics.get(key) ?? new RouteStatistics();
    this.statistics.set(key, statistics);
    return statistics;
  }

  private remove(shape: string, entry: RouteEntry): void {
    // Disposing twice must not take away a route that somebody else has added since.
    if (this.entries.get(shape) !== entry) return;
    this.entries.delete(shape);
    const { method, path } = entry.route;
    this.router.off(method, path);
    if (this.retiredShapes.has(shape) || this.retiredShapes.size >= MAX_RETIRED) return;
    this.retiredShapes.add(shape);
    this.retired.on(method, path, () => {}, entry.owner);
  }
}
