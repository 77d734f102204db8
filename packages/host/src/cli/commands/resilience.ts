// `dw resilience`: shows policies and changes them.

import { readFile } from 'node:fs/promises';
import { errorMessage } from '@datawarehouse/sdk';
import type { CommonOptions } from '../api-client.js';
import { withClient } from '../common-options.js';
import { UsageError } from '../errors.js';
import { printJson, printLine, printTable, printable } from '../output.js';

const BASE = '/v1/resilience/policies';
/** More than the host takes. */
const MAX_FILE_BYTES = 1024 * 1024;

interface Summary {
  readonly name: string;
  readonly source: string;
  readonly strategies: readonly string[];
  readonly circuit: string | null;
  readonly keys: number;
  readonly inFlight: number;
  readonly calls: number;
  readonly failures: number;
  readonly rejections: number;
  readonly retries: number;
  readonly p99Ms: number;
}

interface Finding {
  readonly rule: string;
  readonly severity: string;
  readonly message: string;
  readonly why: string;
}

interface Transition {
  readonly at: number;
  readonly previous: string;
  readonly current: string;
  readonly reason: string;
  readonly source: string;
}

interface Shown {
  readonly name: string;
  readonly description?: string;
  readonly source: string;
  readonly setBy: string;
  readonly setAt: string;
  readonly circuit: string | null;
  readonly statistics: Readonly<Record<string, number>>;
  readonly strategies: readonly {
    readonly name: string;
    readonly type: string;
    readonly options: Readonly<Record<string, unknown>>;
    readonly counters: Readonly<Record<string, number>>;
  }[];
  readonly keyCount: number;
  readonly keys: readonly {
    readonly key: string;
    readonly running: number;
    readonly layers: readonly {
      readonly name: string;
      readonly type: string;
      readonly state?: {
        readonly state?: string;
        readonly remainingMs?: number;
        readonly transitions?: readonly Transition[];
      };
    }[];
  }[];
  readonly findings: readonly Finding[];
}

interface Explanation {
  readonly summary: string;
  readonly strategies: readonly {
    readonly name: string;
    readonly attempts: number;
    readonly timeMs: number | null;
    readonly does: string;
  }[];
  readonly findings: readonly Finding[];
}

interface Change {
  readonly policy: string;
  readonly change: string;
  readonly source: string | null;
  readonly warnings: readonly Finding[];
}

function pathOf(policy: string, ...rest: readonly string[]): string {
  return [BASE, encodeURIComponent(policy), ...rest].join('/');
}

/** `dw resilience list`. */
export async function listPolicies(options: CommonOptions): Promise<void> {
  await withClient(options, async (client) => {
    const answer = await client.json<{
      readonly policies: readonly Summary[];
      readonly unusable: Readonly<Record<string, string>>;
    }>('GET', BASE);
    if (options.json === true) return printJson(answer);
    await printTable(
      ['policy', 'from', 'circuit', 'calls', 'failed', 'rejected', 'retries', 'p99 ms', 'keys', 'strategies'],
      answer.policies.map((policy) => [
        policy.name,
        policy.source,
        policy.circuit,
        policy.calls,
        policy.failures,
        policy.rejections,
        policy.retries,
        Math.round(policy.p99Ms),
        policy.keys,
        policy.strategies.join(' > '),
      ]),
    );
    for (const [name, why] of Object.entries(answer.unusable)) {
      process.stderr.write(`dw: policy ${printable(name)} is kept but not in force: ${printable(why)}\n`);
    }
  });
}

/** `dw resilience show POLICY`. */
export async function showPolicy(
  policy: string,
  options: CommonOptions & { readonly key?: string },
): Promise<void> {
  await withClient(options, async (client) => {
    const shown = await client.json<Shown>('GET', pathOf(policy), { query: { key: options.key } });
    if (options.json === true) return printJson(shown);
    const { name, description, source, setBy, setAt, statistics, strategies, keys, keyCount } = shown;
    await printLine(
      printable(`${name} (${source}, by ${setBy} at ${setAt})${description ? `: ${description}` : ''}`),
    );
    const { calls, successes, failures, rejections, cancelled, retries, inFlight } = statistics;
    await printTable(
      ['calls', 'succeeded', 'failed', 'rejected', 'cancelled', 'retries', 'in flight', 'p50 ms', 'p99 ms'],
      [
        [
          calls,
          successes,
          failures,
          rejections,
          cancelled,
          retries,
          inFlight,
          tenths(statistics['p50Ms']),
          tenths(statistics['p99Ms']),
        ],
      ],
    );
    await printLine('');
    for (const one of strategies) {
      await printLine(printable(one.name === one.type ? one.type : `${one.name} (${one.type})`));
      await printLine(`  options  ${printable(pairs(one.options, ['type', 'name']))}`);
      await printLine(`  counted  ${printable(pairs(one.counters, []))}`);
    }
    await printLine('');
    await printKeys(keys, keyCount);
    await printFindings(shown.findings);
  });
}

async function printKeys(keys: Shown['keys'], keyCount: number): Promise<void> {
  const rows = keys.map(({ key, running, layers }) => {
    const breaker = layers.find(({ type }) => type === 'circuit-breaker')?.state;
    const last = breaker?.transitions?.at(-1);
    return [
      key === '' ? '(the empty key)' : key,
      running,
      breaker?.state,
      breaker?.remainingMs === undefined || breaker.remainingMs === 0 ? '' : Math.ceil(breaker.remainingMs),
      last === undefined
        ? ''
        : `${new Date(last.at).toISOString()} ${last.previous} > ${last.current}: ${last.reason}`,
    ];
  });
  if (rows.length === 0) return printLine('no key has been used yet');
  await printTable(['key', 'running', 'circuit', 'probe in ms', 'last change'], rows);
  if (keyCount > rows.length) await printLine(`and ${keyCount - rows.length} more keys`);
}

/** `dw resilience explain POLICY`. */
export async function explainPolicy(policy: string, options: CommonOptions): Promise<void> {
  await withClient(options, async (client) =>
    printExplanation(await client.json<Explanation>('GET', pathOf(policy, 'explain')), options),
  );
}

/** `dw resilience check FILE`. */
export async function checkPolicy(file: string, options: CommonOptions): Promise<void> {
  const document = parsed(file, await contents(file));
  await withClient(options, async (client) =>
    printExplanation(
      await client.json<Explanation>('POST', '/v1/resilience/explain', { json: document }),
      options,
    ),
  );
}

async function printExplanation(explained: Explanation, options: CommonOptions): Promise<void> {
  if (options.json === true) return printJson(explained);
  await printTable(
    ['strategy', 'attempts', 'at most', 'what it does'],
    explained.strategies.map(({ name, attempts, timeMs, does }) => [
      name,
      attempts,
      timeMs === null ? 'unbounded' : `${timeMs} ms`,
      does,
    ]),
  );
  await printLine(`\nAt worst ${printable(explained.summary)}.`);
  await printFindings(explained.findings);
}

/** `dw resilience set FILE`. */
export async function setPolicy(file: string, options: CommonOptions): Promise<void> {
  const document = parsed(file, await contents(file));
  await withClient(options, async (client) => {
    const change = await client.json<Change>('PUT', pathOf(document.name), { json: document });
    if (options.json === true) return printJson(change);
    await printLine(`policy ${printable(change.policy)} was ${change.change}`);
    await printFindings(change.warnings);
  });
}

/** `dw resilience remove POLICY`. */
export async function removePolicy(policy: string, options: CommonOptions): Promise<void> {
  await withClient(options, async (client) => {
    const change = await client.json<Change>('DELETE', pathOf(policy));
    if (options.json === true) return printJson(change);
    await printLine(
      change.source === null
        ? `policy ${printable(policy)} was removed`
        : `policy ${printable(policy)} is again the one that is ${change.source}`,
    );
  });
}

/** `dw resilience isolate POLICY` and `dw resilience reset POLICY`. */
export async function orderPolicy(
  action: 'isolate' | 'reset',
  policy: string,
  options: CommonOptions & { readonly key?: string; readonly reason?: string },
): Promise<void> {
  const { key, reason } = options;
  await withClient(options, async (client) => {
    const answer = await client.json<{ readonly circuit: string | null }>('POST', pathOf(policy, action), {
      json: { ...(key === undefined ? {} : { key }), ...(reason === undefined ? {} : { reason }) },
    });
    if (options.json === true) return printJson(answer);
    const where = key === undefined ? 'every key' : `key ${key}`;
    const done = action === 'isolate' ? 'isolated: no call goes through until they are reset' : 'reset';
    await printLine(`${printable(policy)}: the breakers of ${printable(where)} are ${done}`);
  });
}

async function printFindings(findings: readonly Finding[]): Promise<void> {
  for (const { severity, message, why, rule } of findings) {
    await printLine(printable(`${severity}: ${message}: ${why} (${rule})`));
  }
}

async function contents(file: string): Promise<string> {
  if (file !== '-') {
    try {
      return await readFile(file, 'utf8');
    } catch (thrown) {
      throw new UsageError(`${file} cannot be read: ${errorMessage(thrown)}`);
    }
  }
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_FILE_BYTES) throw new UsageError(`the policy is larger than ${MAX_FILE_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parsed(file: string, text: string): { readonly name: string } {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (thrown) {
    throw new UsageError(`${file} is not JSON: ${errorMessage(thrown)}`);
  }
  const name = (document as { readonly name?: unknown } | null)?.name;
  if (typeof name !== 'string' || name === '') throw new UsageError(`${file} has no "name" for the policy`);
  return document as { readonly name: string };
}

function pairs(values: Readonly<Record<string, unknown>>, without: readonly string[]): string {
  return Object.entries(values)
    .filter(([name, value]) => !without.includes(name) && value !== false && value !== 0)
    .map(([name, value]) => `${name}=${typeof value === 'number' ? value : JSON.stringify(value)}`)
    .join(' ');
}

function tenths(value: number | undefined): number | undefined {
  return value === undefined ? undefined : Math.round(value * 10) / 10;
}
