// The way to one node: connected, connecting, or waiting for the next try. It dials when it is asked to and not before,
// so that a client of many nodes has connections to those it needs.

import { connect as connectTcp, isIP } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { ClusterTopology, ServerWelcome } from '@datawarehouse/sdk/client-protocol';
import type { DwClientError } from '../errors.js';
import { connectionLost } from '../errors.js';
import type { Address, CheckedOptions } from '../options.js';
import { backoffMs } from './backoff.js';
import { Connection } from './connection.js';

const RETRY = { firstMs: 25, longestMs: 2_000 };

/** Who hears of a link. */
export interface LinkListener {
  onOpen(link: Link, welcome: ServerWelcome): void;
  onTopology(topology: ClusterTopology): void;
  /** The node takes more again. */
  onDrained(): void;
  /** The connection, or the try to make one, has failed. */
  onDown(link: Link, error: DwClientError): void;
}

type LinkState =
  | { readonly kind: 'idle' }
  | { readonly kind: 'connecting'; readonly connection: Connection; readonly since: number }
  | { readonly kind: 'open'; readonly connection: Connection }
  | { readonly kind: 'waiting'; readonly until: number }
  | { readonly kind: 'closed' };

/** The way to one address. */
export class Link {
  readonly endpoint: string;
  /** Why it failed last; undefined when it has not since it was open. */
  lastError: DwClientError | undefined;
  private state: LinkState = { kind: 'idle' };
  private failures = 0;

  constructor(
    private readonly address: Address,
    private readonly options: CheckedOptions,
    private readonly now: () => number,
    private readonly listener: LinkListener,
  ) {
    const { host, port } = address;
    this.endpoint = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  }

  /** The open connection, if there is one. */
  get connection(): Connection | undefined {
    return this.state.kind === 'open' ? this.state.connection : undefined;
  }

  /** Whether a connection is being made. */
  get isConnecting(): boolean {
    return this.state.kind === 'connecting';
  }

  /** Begins to connect if that is due. @returns whether a connection is there or being made. */
  connect(): boolean {
    const { state } = this;
    if (state.kind === 'open' || state.kind === 'connecting') return true;
    if (state.kind === 'closed' || (state.kind === 'waiting' && this.now() < state.until)) return false;
    const connection = new Connection(this.dial(), this.endpoint, this.now, {
      onWelcome: (welcome) => {
        this.failures = 0;
        this.lastError = undefined;
        this.state = { kind: 'open', connection };
        this.listener.onOpen(this, welcome);
      },
      onTopology: (topology) => this.listener.onTopology(topology),
      onDrained: () => this.listener.onDrained(),
      onClosed: (error) => this.down(error),
    });
    this.state = { kind: 'connecting', connection, since: this.now() };
    connection.greet(this.options.token, this.options.clusterId);
    return true;
  }

  /** Looks after the connection. Called a few times a second; `pausedMs`: how long this process stood still before. */
  sweep(pausedMs: number): void {
    const { state } = this;
    const now = this.now();
    if (state.kind === 'connecting' && now - state.since > this.options.connectTimeoutMs) {
      state.connection.close(
        connectionLost(this.endpoint, `no welcome within ${this.options.connectTimeoutMs} ms`),
      );
      return;
    }
    if (state.kind !== 'open') return;
    const { connection } = state;
    const { silenceMs } = this.options;
    // Whoever stood still cannot say that the other was silent.
    if (pausedMs > silenceMs / 2) connection.heardAt = now;
    const silent = now - connection.heardAt;
    const idleMs = connection.node?.idleMs ?? silenceMs;
    if (connection.inFlight === 0) {
      if (silent > idleMs / 3) connection.ping();
    } else if (silent > silenceMs) {
      connection.close(
        connectionLost(this.endpoint, `it owed answers and was silent for ${Math.round(silent)} ms`),
      );
    } else if (silent > silenceMs / 3) {
      connection.ping();
    }
  }

  /** Ends the connection, and makes no other one. */
  close(error: DwClientError): void {
    const { state } = this;
    this.state = { kind: 'closed' };
    if (state.kind === 'open' || state.kind === 'connecting') state.connection.close(error);
  }

  private dial() {
    const { host, port } = this.address;
    const { tls } = this.options;
    if (tls === undefined) return connectTcp({ host, port, noDelay: true, keepAlive: true });
    const servername = tls.servername ?? (isIP(host) === 0 ? host : undefined);
    return connectTls({
      host,
      port,
      minVersion: 'TLSv1.2',
      ...(tls.ca === undefined ? {} : { ca: tls.ca }),
      ...(servername === undefined ? {} : { servername }),
    }).setNoDelay(true);
  }

  private down(error: DwClientError): void {
    this.lastError = error;
    if (this.state.kind === 'closed') return;
    this.failures++;
    const wait = Math.max(error.retryAfterMs ?? 0, backoffMs(RETRY, this.failures, this.options.random));
    this.state = { kind: 'waiting', until: this.now() + wait };
    this.listener.onDown(this, error);
  }
}
