// Clients that write, read and compare-and-swap while a test does its worst, and remember all they were told.

import { Agent } from 'node:http';
import type { HistoryEntry } from '../linearizability/checker.js';
import type { Operation } from '../linearizability/model.js';
import { perform } from './kv-client.js';

/** A call to a node that is paused or cut off is given up after this; its outcome is then unknown. */
const CALL_TIMEOUT_MS = 1_500;

/** A workload under way. */
export class Workload {
  readonly history: HistoryEntry[] = [];
  /** Keys written once each, with what they hold, all acknowledged. */
  readonly acknowledged = new Map<string, string>();
  readonly counts = { done: 0, unknown: 0, refused: 0 };
  /** How often each refusal was seen, by code. */
  readonly refusals = new Map<string, number>();
  private readonly agent = new Agent({ keepAlive: true, maxSockets: 64 });
  private readonly loops: Promise<void>[];
  private stopping = false;
  private serial = 0;

  /** Starts `clients` clients over `keys` shared keys; each call goes to one of the nodes in turn. */
  constructor(
    private readonly urls: readonly string[],
    options: { readonly clients?: number; readonly keys?: number; readonly random: () => number },
  ) {
    const keys = options.keys ?? 6;
    this.loops = Array.from({ length: options.clients ?? 8 }, (_, client) =>
      this.client(client, keys, options.random),
    );
  }

  private async client(client: number, keys: number, random: () => number): Promise<void> {
    const known = new Map<string, number>();
    while (!this.stopping) {
      const turn = ++this.serial;
      const url = this.urls[Math.floor(random() * this.urls.length)] as string;
      if (random() < 0.2) {
        await this.writeOnce(client, turn, url);
        continue;
      }
      const key = `shared-${Math.floor(random() * keys)}`;
      const outcome = await this.run(
        client,
        url,
        key,
        choose(random(), `c${client}-${turn}`, known.get(key)),
      );
      if ('version' in outcome && outcome.version !== undefined) known.set(key, outcome.version);
      else known.delete(key);
      // A node that is down refuses in microseconds; without a pause the test would do nothing but ask it.
      if (outcome.kind === 'refused') await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  private async run(client: number, url: string, key: string, operation: Operation) {
    const calledAt = performance.now();
    const outcome = await perform(this.agent, url, key, operation, { timeoutMs: CALL_TIMEOUT_MS });
    const returnedAt = performance.now();
    if (outcome.kind === 'refused') {
      this.counts.refused += 1;
      this.refusals.set(outcome.code, (this.refusals.get(outcome.code) ?? 0) + 1);
      return outcome;
    }
    this.counts[outcome.kind === 'unknown' ? 'unknown' : 'done'] += 1;
    // A read of unknown outcome says nothing.
    if (outcome.kind !== 'unknown' || operation.kind !== 'get') {
      this.history.push({ client, key, operation, outcome, calledAt, returnedAt });
    }
    return outcome;
  }

  private async writeOnce(client: number, turn: number, url: string): Promise<void> {
    const key = `once-${client}-${turn}`;
    const outcome = await this.run(client, url, key, { kind: 'put', value: `v${turn}` });
    if (outcome.kind === 'written') this.acknowledged.set(key, `v${turn}`);
    if (outcome.kind === 'refused') await new Promise((resolve) => setTimeout(resolve, 20));
  }

  /** Stops the clients, waits for what they have under way, then reads every key of theirs through each node. */
  async finish(): Promise<void> {
    this.stopping = true;
    await Promise.all(this.loops);
    const keys = new Set(this.history.map(({ key }) => key));
    let turn = 0;
    for (const key of keys) {
      const urls = key.startsWith('once-') ? [this.urls[turn++ % this.urls.length] as string] : this.urls;
      for (const url of urls) {
        const outcome = await this.run(-1, url, key, { kind: 'get' });
        if (outcome.kind !== 'read')
          throw new Error(`the last read of ${key} at ${url}: ${JSON.stringify(outcome)}`);
        const wanted = this.acknowledged.get(key);
        if (wanted !== undefined && outcome.value !== wanted) {
          throw new Error(
            `an acknowledged write is lost: ${key} should hold ${wanted}, and holds ${outcome.value}`,
          );
        }
      }
    }
    this.agent.destroy();
  }
}

function choose(dice: number, value: string, version: number | undefined): Operation {
  if (dice < 0.4) return { kind: 'get' };
  if (dice < 0.7) return { kind: 'put', value };
  if (dice < 0.78) return { kind: 'delete' };
  return { kind: 'cas', expected: version ?? 'absent', value };
}

/** A small seeded generator (mulberry32), so that a run can be described by its seed. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
