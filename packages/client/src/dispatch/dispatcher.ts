// Brings each call to a node that can carry it out and hears what became of it. A try that certainly did nothing is
// made again until the call's time is up; so is one of unknown outcome where a second try is harmless: reads, and writes
// that have a place in a session. Every queue has a bound, and every call an end.

import type { ClusterTopology, ServerWelcome } from '@datawarehouse/sdk/client-protocol';
import { readError, readNumber } from '@datawarehouse/sdk/client-protocol';
import { backoffMs } from '../connection/backoff.js';
import type { Connection } from '../connection/connection.js';
import { Link } from '../connection/link.js';
import {
  DwClientError,
  aborted,
  closed,
  outcomeUnknown,
  queueFull,
  timedOut,
  unreachable,
} from '../errors.js';
import type { CheckedOptions } from '../options.js';
import { parseAddress } from '../options.js';
import type { Call } from './call.js';
import { isRepeatable, newCall, operationOf } from './call.js';
import { SessionPool } from '../sessions/session-pool.js';
import { ClusterView } from './cluster-view.js';

const SWEEP_MS = 50;
/** A client that waits for nothing looks after its connections only every so many sweeps. */
const IDLE_SWEEPS = 10;
/** How long closing waits for the groups to forget the sessions. */
const CLOSE_MS = 500;
const RETRY = { firstMs: 5, longestMs: 250 };

/** Where a request goes. */
export interface Route {
  readonly connection: Connection;
  /** Whether it is to be passed on from there. */
  readonly relay: boolean;
}

/** Sends calls to the nodes of one cluster. */
export class Dispatcher {
  readonly view = new ClusterView();
  /** Longest value that the nodes take; known once one has answered. */
  maxValueBytes = Number.MAX_SAFE_INTEGER;
  private readonly links = new Map<string, Link>();
  /** The links that turned out to lead to a node, by its id. */
  private readonly byNode = new Map<string, Link>();
  /** Bounded by `maxInFlight` and `maxQueued` together. */
  private readonly live = new Set<Call>();
  private readonly queue: Call[] = [];
  /** Calls of `queue` that were taken already. */
  private queueHead = 0;
  private parked: Call[] = [];
  private unparking = false;
  /** Whether a call was parked for want of room. */
  private starved = false;
  private readonly listeners: (() => void)[] = [];
  private inFlight = 0;
  private timer: NodeJS.Timeout | undefined;
  private sweptAt: number;
  private seed = 0;
  private sweeps = 0;
  /** Longest that this process stood still since connections were looked after last, ms. */
  private stoodStillMs = 0;
  private state: 'open' | 'closing' | 'closed' = 'open';
  private readonly sessions = new SessionPool((group) => this.openSession(group));
  private whenIdle: (() => void)[] = [];
  private whenOpen: { readonly resolve: () => void; readonly reject: (error: DwClientError) => void }[] = [];

  constructor(
    private readonly options: CheckedOptions,
    private readonly now: () => number,
  ) {
    for (const { host, port } of options.endpoints) {
      this.linkTo(`${host.includes(':') ? `[${host}]` : host}:${port}`);
    }
    this.seed = Math.floor(options.random() * this.links.size);
    this.sweptAt = now();
    this.timer = setInterval(() => this.sweep(), SWEEP_MS);
  }

  /** Calls without an answer, in any state. */
  get size(): number {
    return this.live.size;
  }

  /** Connects to the first endpoint that answers. @throws DwClientError `unreachable`, or what the nodes refused with. */
  async open(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.whenOpen.push({ resolve, reject });
      this.connectSomewhere();
    });
  }

  /** Takes a call in. It ends by `done` or `failed`, exactly once. */
  submit(call: Call, own = false): void {
    if (this.state === 'closed' || (this.state === 'closing' && !own)) {
      call.state = 'over';
      call.failed(closed());
      return;
    }
    // What the client itself asks for does not wait behind the calls that wait for it.
    if (this.inFlight >= this.options.maxInFlight && !own) {
      const { maxQueued } = this.options;
      if (this.queue.length - this.queueHead >= maxQueued) {
        call.state = 'over';
        call.failed(queueFull(maxQueued));
        return;
      }
      this.live.add(call);
      this.queue.push(call);
      return;
    }
    this.live.add(call);
    this.inFlight++;
    this.dispatch(call);
  }

  /** The caller does not want the answer any more. */
  abandon(call: Call, reason: unknown): void {
    if (call.state === 'over') return;
    const inDoubt = call.writes && (call.state === 'sent' || call.doubt !== undefined);
    if (call.state === 'sent') call.sentOn?.cancel(call.requestId);
    const error = inDoubt
      ? outcomeUnknown(call.what(), 'its caller gave up waiting', reason)
      : aborted(call.what(), reason);
    this.fail(call, error);
  }

  /**
   * A connection for a request to a group: the leader's, or another one that passes it on (`relay`) when the leader is
   * not known or cannot be reached. Undefined when there is none now; connections that are wanted are being made.
   */
  route(group: string): Route | undefined {
    const leader = this.view.leader(group);
    const link = leader === undefined ? undefined : this.linkOf(leader);
    const connection = link?.connection;
    if (connection?.hasRoom === true) return { connection, relay: false };
    if (connection !== undefined) {
      this.starved = true;
      return undefined;
    }
    if (link?.connect() === true) return undefined;
    const other = this.anyConnection();
    return other === undefined ? undefined : { connection: other, relay: true };
  }

  /** Calls `listener` whenever leaders or connections have changed. */
  onChanged(listener: () => void): void {
    this.listeners.push(listener);
  }

  /** Takes no new calls, waits for those under way, and closes the connections. */
  async close(): Promise<void> {
    if (this.state === 'open') {
      this.state = 'closing';
      await this.idle();
      await this.closeSessions();
      this.destroy();
    } else {
      await this.idle();
    }
  }

  private async idle(): Promise<void> {
    if (this.live.size > 0) await new Promise<void>((resolve) => this.whenIdle.push(resolve));
  }

  /** Gives the groups their places back. One that cannot be told finds out by itself, in time. */
  private async closeSessions(): Promise<void> {
    for (const [group, { id }] of this.sessions.all()) {
      this.submit(
        newCall({
          operation: { op: 'close-session', group, session: id },
          group,
          what: () => `The closing of a session in ${group}`,
          writes: false,
          deadline: this.now() + CLOSE_MS,
          timeoutMs: CLOSE_MS,
          done: () => {},
          failed: () => {},
        }),
        true,
      );
    }
    await this.idle();
  }

  /** Ends everything at once. */
  destroy(): void {
    if (this.state === 'closed') return;
    this.state = 'closed';
    clearInterval(this.timer);
    const error = closed();
    for (const call of this.live) {
      const inDoubt = call.writes && (call.state === 'sent' || call.doubt !== undefined);
      this.fail(call, inDoubt ? outcomeUnknown(call.what(), 'the client was closed') : error);
    }
    for (const link of this.links.values()) link.close(error);
    for (const { reject } of this.whenOpen.splice(0)) reject(error);
  }

  /** Sends a call to where it should go now, or parks it. */
  private dispatch(call: Call): void {
    if (call.notBefore > 0 && this.now() < call.notBefore) {
      this.park(call);
      return;
    }
    if (call.writes && call.place === undefined && this.options.sessions) {
      call.place = this.sessions.take(call.group);
      if (call.place === undefined) {
        this.starved = true;
        this.park(call);
        return;
      }
    }
    const route = this.route(call.group);
    if (route === undefined) this.park(call);
    else this.send(call, route.connection, route.relay);
  }

  private send(call: Call, connection: Connection, relay: boolean): void {
    call.state = 'sent';
    call.sentOn = connection;
    const left = Math.max(1, Math.ceil(call.deadline - this.now()));
    call.requestId = connection.request(operationOf(call), left, relay, {
      onAnswer: (status, body) => {
        if (call.state !== 'sent' || call.sentOn !== connection) return;
        if (status === 'ok') this.succeed(call, body);
        else if (status === 'error') this.refused(call, connection, body);
      },
      onLost: (error) => {
        if (call.state === 'sent' && call.sentOn === connection) this.lost(call, error);
      },
    });
  }

  private succeed(call: Call, body: Buffer): void {
    this.finish(call);
    call.done(body);
  }

  private refused(call: Call, connection: Connection, body: Buffer): void {
    const { code, message, retryable, retryAfterMs, hint, details } = readError(body);
    const error = new DwClientError({ code, message, retryable, retryAfterMs, hint, details });
    if (code === 'outcome-unknown') {
      this.lost(call, error);
      return;
    }
    call.refusal = error;
    if (code === 'session-expired' && call.place !== undefined) {
      this.sessionExpired(call, error);
      return;
    }
    if (!retryable) {
      this.fail(call, error);
      return;
    }
    call.tries++;
    const leaderId = details?.['leaderId'];
    if (code === 'not-leader') {
      const node = connection.node?.nodeId ?? '';
      this.view.refuted(call.group, node, typeof leaderId === 'string' ? leaderId : undefined);
      // The first refusal names the leader: ask there at once.
      if (call.tries === 1 && typeof leaderId === 'string') {
        this.dispatch(call);
        return;
      }
    }
    const wait = backoffMs(RETRY, call.tries, this.options.random);
    const asked = code === 'overloaded' ? (retryAfterMs ?? 0) * (0.5 + 0.5 * this.options.random()) : 0;
    this.later(call, Math.max(wait, asked));
  }

  private sessionExpired(call: Call, error: DwClientError): void {
    const { place } = call;
    if (place !== undefined) {
      place.session.settle(place.sequence);
      this.sessions.expired(call.group, place.session);
    }
    call.place = undefined;
    // Under another session the group would not know it again: only what was certainly not applied may go on.
    if (call.doubt === undefined) this.later(call, 0);
    else this.fail(call, outcomeUnknown(call.what(), error.message, error));
  }

  private openSession(group: string): void {
    this.submit(
      newCall({
        operation: { op: 'open-session', group },
        group,
        what: () => `The opening of a session in ${group}`,
        writes: false,
        deadline: this.now() + this.options.timeoutMs,
        timeoutMs: this.options.timeoutMs,
        done: (body) => {
          this.sessions.opened(group, readNumber(body));
          this.unpark();
        },
        // The writes that wait for it ask again as long as they have time.
        failed: () => this.sessions.failed(group),
      }),
      true,
    );
  }

  /** A try whose outcome is unknown. */
  private lost(call: Call, error: DwClientError): void {
    call.tries++;
    if (call.writes) call.doubt = error;
    call.refusal = error;
    if (isRepeatable(call)) this.later(call, backoffMs(RETRY, call.tries, this.options.random));
    else this.fail(call, outcomeUnknown(call.what(), error.message, error));
  }

  private later(call: Call, waitMs: number): void {
    call.notBefore = this.now() + waitMs;
    this.park(call);
  }

  private park(call: Call): void {
    call.state = 'parked';
    call.sentOn = undefined;
    this.parked.push(call);
    if (this.links.size > 0 && this.anyConnection() === undefined) this.connectSomewhere();
  }

  /** Calls that were parked because a connection or a session was full may go on. */
  private roomAgain(): void {
    if (!this.starved) return;
    this.starved = false;
    this.unparkSoon();
  }

  private unparkSoon(): void {
    if (this.unparking) return;
    this.unparking = true;
    setImmediate(() => {
      this.unparking = false;
      this.unpark();
    });
  }

  private unpark(): void {
    if (this.parked.length === 0) return;
    const calls = this.parked;
    this.parked = [];
    for (const call of calls) if (call.state === 'parked') this.dispatch(call);
  }

  private fail(call: Call, error: DwClientError): void {
    // Once a try may have happened, a later refusal does not say that nothing did, unless the session said so.
    const { doubt } = call;
    this.finish(call);
    if (doubt === undefined || error.code === 'outcome-unknown' || decides(error)) call.failed(error);
    else call.failed(outcomeUnknown(call.what(), doubt.message, error));
  }

  private finish(call: Call): void {
    const wasQueued = call.state === 'queued';
    call.state = 'over';
    call.sentOn = undefined;
    call.place?.session.settle(call.place.sequence);
    this.live.delete(call);
    if (wasQueued) return;
    this.inFlight--;
    this.takeQueued();
    this.roomAgain();
    if (this.live.size === 0) for (const resolve of this.whenIdle.splice(0)) resolve();
  }

  private takeQueued(): void {
    if (this.state === 'closed') return;
    while (this.queueHead < this.queue.length && this.inFlight < this.options.maxInFlight) {
      const next = this.queue[this.queueHead++] as Call;
      if (next.state !== 'queued') continue;
      this.inFlight++;
      this.dispatch(next);
    }
    if (this.queueHead === this.queue.length || this.queueHead > 4_096) {
      this.queue.splice(0, this.queueHead);
      this.queueHead = 0;
    }
  }

  private linkOf(node: string): Link | undefined {
    const known = this.byNode.get(node);
    if (known !== undefined) return known;
    const address = this.view.address(node);
    return address === undefined ? undefined : this.linkTo(address);
  }

  private linkTo(endpoint: string): Link | undefined {
    const known = this.links.get(endpoint);
    if (known !== undefined) return known;
    const address = parseAddress(endpoint);
    if (address === undefined) return undefined;
    const link = new Link(address, this.options, this.now, {
      onOpen: (opened, welcome) => this.opened(opened, welcome),
      onTopology: (topology) => this.learn(topology),
      onDrained: () => this.roomAgain(),
      onDown: (_link, error) => this.down(error),
    });
    this.links.set(endpoint, link);
    return link;
  }

  private anyConnection(): Connection | undefined {
    for (const link of this.links.values()) {
      const { connection } = link;
      if (connection?.hasRoom === true) return connection;
    }
    return undefined;
  }

  /** Begins to connect to one of the nodes, unless that is under way. */
  private connectSomewhere(): void {
    const links = [...this.links.values()];
    if (links.some((link) => link.isConnecting || link.connection !== undefined)) return;
    for (let n = 0; n < links.length; n++) {
      this.seed = (this.seed + 1) % links.length;
      if (links[this.seed]?.connect() === true) return;
    }
  }

  private opened(link: Link, welcome: ServerWelcome): void {
    this.byNode.set(welcome.nodeId, link);
    this.maxValueBytes = welcome.maxValueBytes;
    this.view.learn(welcome.topology);
    for (const { resolve } of this.whenOpen.splice(0)) resolve();
    this.changed();
  }

  private changed(): void {
    this.unpark();
    for (const listener of this.listeners) listener();
  }

  private learn(topology: ClusterTopology): void {
    if (this.view.learn(topology)) this.changed();
  }

  private down(error: DwClientError): void {
    if (this.state === 'closed') return;
    const links = [...this.links.values()];
    if (this.whenOpen.length > 0) {
      // What a node says no to for good, all of them will.
      const hopeless = !error.retryable && error.code !== 'connection-lost';
      const all = links.every((link) => link.lastError !== undefined);
      if (hopeless || all) {
        const verdict = hopeless
          ? error
          : unreachable(links.map(({ endpoint }) => endpoint).join(', '), error);
        for (const { reject } of this.whenOpen.splice(0)) reject(verdict);
        return;
      }
      this.connectSomewhere();
    }
    // Calls that waited for this node look for another one.
    this.unparkSoon();
  }

  private sweep(): void {
    const now = this.now();
    const late = now - this.sweptAt - SWEEP_MS;
    this.sweptAt = now;
    this.sweeps++;
    // Standing still is noticed also by sweeps that do nothing else.
    this.stoodStillMs = Math.max(this.stoodStillMs, late);
    if (this.live.size === 0 && this.sweeps % IDLE_SWEEPS !== 0) return;
    const paused = this.stoodStillMs;
    this.stoodStillMs = 0;
    for (const link of this.links.values()) link.sweep(paused);
    for (const call of this.live) if (call.deadline <= now) this.expire(call);
    if (this.parked.length > 0 && this.anyConnection() === undefined) this.connectSomewhere();
    this.unpark();
  }

  private expire(call: Call): void {
    const { doubt, refusal, timeoutMs, writes } = call;
    const sent = call.state === 'sent';
    if (sent) call.sentOn?.cancel(call.requestId);
    if (writes && (sent || doubt !== undefined)) {
      this.fail(call, outcomeUnknown(call.what(), `it had no answer within ${timeoutMs} ms`, refusal));
    } else {
      this.fail(call, timedOut(call.what(), timeoutMs, refusal));
    }
  }
}

/** Whether a refusal tells the outcome of a write whose earlier tries are in doubt: its session remembered it. */
function decides({ code }: DwClientError): boolean {
  return code === 'version-mismatch' || code === 'store-full';
}
