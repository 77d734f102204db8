// The options of a client, checked, with every default filled in.

import { readFileSync } from 'node:fs';
import { optionInvalid } from './errors.js';

/** TLS towards the nodes. */
export interface ClientTlsOptions {
  /** PEM text, or path of a PEM file, of the authority that signed the nodes' certificates. Default: the system's. */
  readonly ca?: string;
  /** The name that the certificates must be for, when the endpoints are addresses. Default: each endpoint's host. */
  readonly servername?: string;
}

/** How to connect. */
export interface ClientOptions {
  /** `host:port` of the client ports of one or more nodes; the others are learned. Required, at most 64. */
  readonly endpoints: readonly string[];
  /** The token of the nodes (`http.token`). */
  readonly token?: string;
  /** TLS; `true` trusts the authorities of the system. Default: none. */
  readonly tls?: ClientTlsOptions | boolean;
  /** The cluster that is meant; nodes of another one refuse. Default: any. */
  readonly clusterId?: string;
  /** Longest that a call takes, in ms, retries included. Default 10 000. */
  readonly timeoutMs?: number;
  /** Calls sent and not answered, to all nodes together; more wait in the client. Default 4 096. */
  readonly maxInFlight?: number;
  /** Calls that wait to be sent; more are refused with `queue-full`. Default 16 384. */
  readonly maxQueued?: number;
  /** A node that is silent for so long while it owes an answer is given up, in ms. Default 1 500. */
  readonly silenceMs?: number;
  /** Longest wait for a connection with TLS and hello, in ms. Default 3 000. */
  readonly connectTimeoutMs?: number;
  /**
   * Whether writes are retried so that they are applied once, by a session in each group. Default true. Without, a write
   * whose answer is lost fails with `outcome-unknown`.
   */
  readonly sessions?: boolean;
  /** Uniform in [0, 1), for the spread of waits. Default `Math.random`. */
  readonly random?: () => number;
}

/** A host and a port. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Options with every default filled in. */
export interface CheckedOptions {
  readonly endpoints: readonly Address[];
  readonly token: string | undefined;
  readonly tls: { readonly ca: string | undefined; readonly servername: string | undefined } | undefined;
  readonly clusterId: string | undefined;
  readonly timeoutMs: number;
  readonly maxInFlight: number;
  readonly maxQueued: number;
  readonly silenceMs: number;
  readonly connectTimeoutMs: number;
  readonly sessions: boolean;
  readonly random: () => number;
}

const MAX_ENDPOINTS = 64;
const ADDRESS = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]/\s]+)):(\d{1,5})$/;

/** `host:port` or `[v6]:port` taken apart; undefined when it is neither. */
export function parseAddress(text: string): Address | undefined {
  const match = ADDRESS.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port < 1 || port > 65_535) return undefined;
  return { host, port };
}

/** Checks options. @throws DwClientError `option-invalid`. */
export function checkOptions(options: ClientOptions): CheckedOptions {
  const { endpoints, tls, random = Math.random } = options;
  if (!Array.isArray(endpoints) || endpoints.length < 1 || endpoints.length > MAX_ENDPOINTS) {
    throw optionInvalid('"endpoints" names no nodes', `give 1 to ${MAX_ENDPOINTS} of "host:port"`);
  }
  return {
    endpoints: endpoints.map((endpoint: string) => {
      const address = parseAddress(endpoint);
      if (address !== undefined) return address;
      throw optionInvalid(
        `The endpoint ${JSON.stringify(endpoint)} is none`,
        'give "host:port" of a client port',
      );
    }),
    token: options.token,
    tls: tlsOf(tls),
    clusterId: options.clusterId,
    timeoutMs: whole(options, 'timeoutMs', 10_000, 1, 3_600_000),
    maxInFlight: whole(options, 'maxInFlight', 4_096, 1, 1_000_000),
    maxQueued: whole(options, 'maxQueued', 16_384, 0, 10_000_000),
    silenceMs: whole(options, 'silenceMs', 1_500, 50, 600_000),
    connectTimeoutMs: whole(options, 'connectTimeoutMs', 3_000, 1, 600_000),
    sessions: options.sessions ?? true,
    random,
  };
}

type NumberOption = 'timeoutMs' | 'maxInFlight' | 'maxQueued' | 'silenceMs' | 'connectTimeoutMs';

function whole(options: ClientOptions, name: NumberOption, preset: number, min: number, max: number): number {
  const value = options[name] ?? preset;
  if (Number.isSafeInteger(value) && value >= min && value <= max) return value;
  throw optionInvalid(`"${name}" cannot be ${value}`, `give a whole number from ${min} to ${max}`);
}

function tlsOf(tls: ClientOptions['tls']): CheckedOptions['tls'] {
  if (tls === undefined || tls === false) return undefined;
  if (tls === true) return { ca: undefined, servername: undefined };
  const { ca, servername } = tls;
  if (ca === undefined || ca.startsWith('-----BEGIN ')) return { ca, servername };
  try {
    return { ca: readFileSync(ca, 'utf8'), servername };
  } catch (error) {
    throw optionInvalid(
      `"tls.ca" cannot be read: ${String(error)}`,
      'give the path of a PEM file, or PEM text',
    );
  }
}
