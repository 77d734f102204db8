// Users of one client that write, read, compare-and-swap and pipeline while a test does its worst to the nodes, and
// remember all they were told; a watch beside them remembers all that changed.

import type { DwClient, ReadMode, WatchEvent } from '@datawarehouse/client';
import { isDwClientError } from '@datawarehouse/client';
import type { HistoryEntry } from '../linearizability/checker.js';
import type { Operation, Outcome } from '../linearizability/model.js';

const PIPELINE = 16;

/** A workload over a client. */
export class ClientWorkload {
  readonly history: HistoryEntry[] = [];
  /** Keys written once each: what they hold and the version that was acknowledged. */
  readonly acknowledged = new Map<string, { readonly value: string; readonly version: number }>();
  readonly counts = { done: 0, unknown: 0, refused: 0 };
  readonly refusals = new Map<string, number>();
  private readonly loops: Promise<void>[];
  private stopping = false;
  private serial = 0;

  constructor(
    private readonly client: DwClient,
    private readonly random: () => number,
    private readonly consistency: ReadMode = 'linearizable',
    users = 6,
  ) {
    this.loops = Array.from({ length: users }, (_, user) => this.user(user));
  }

  /** Ends the users and reads back every key. @throws Error when an acknowledged write is lost. */
  async finish(): Promise<void> {
    this.stopping = true;
    await Promise.all(this.loops);
    const keys = new Set(this.history.map(({ key }) => key));
    for (const key of keys) {
      const outcome = await this.run(-1, key, { kind: 'get' });
      if (outcome?.kind !== 'read') throw new Error(`the last read of ${key}: ${JSON.stringify(outcome)}`);
    }
    for (const [key, { value, version }] of this.acknowledged) {
      const found = await this.client.get(key);
      if (found?.value.toString() === value && found.version === version) continue;
      throw new Error(
        `${key} should hold ${value} of version ${version}, and holds ${JSON.stringify(found)}`,
      );
    }
  }

  private async user(user: number): Promise<void> {
    const known = new Map<string, number>();
    while (!this.stopping) {
      if (this.random() < 0.3) {
        await Promise.all(Array.from({ length: PIPELINE }, () => this.writeOnce(user)));
        continue;
      }
      const key = `shared-${Math.floor(this.random() * 4)}`;
      const value = `u${user}-${++this.serial}`;
      const outcome = await this.run(user, key, choose(this.random(), value, known.get(key)));
      if (outcome !== undefined && 'version' in outcome && outcome.version !== undefined) {
        known.set(key, outcome.version);
      } else known.delete(key);
    }
  }

  private async writeOnce(user: number): Promise<void> {
    const turn = ++this.serial;
    const [key, value] = [`once-${user}-${turn}`, `v${turn}`];
    const outcome = await this.run(user, key, { kind: 'put', value });
    if (outcome?.kind === 'written') this.acknowledged.set(key, { value, version: outcome.version });
  }

  /** Runs an operation and notes what it answered; undefined when it certainly did nothing. */
  private async run(client: number, key: string, operation: Operation): Promise<Outcome | undefined> {
    const calledAt = performance.now();
    let outcome: Outcome;
    try {
      outcome = await this.perform(key, operation);
    } catch (error) {
      if (!isDwClientError(error)) throw error;
      if (error.code === 'version-mismatch') outcome = { kind: 'mismatch' };
      else if (error.code === 'outcome-unknown') outcome = { kind: 'unknown' };
      else {
        this.counts.refused++;
        this.refusals.set(error.code, (this.refusals.get(error.code) ?? 0) + 1);
        return undefined;
      }
    }
    this.counts[outcome.kind === 'unknown' ? 'unknown' : 'done']++;
    this.history.push({ client, key, operation, outcome, calledAt, returnedAt: performance.now() });
    return outcome;
  }

  private async perform(key: string, operation: Operation): Promise<Outcome> {
    switch (operation.kind) {
      case 'get': {
        const found = await this.client.get(key, { consistency: this.consistency });
        return { kind: 'read', value: found?.value.toString(), version: found?.version };
      }
      case 'put':
        return { kind: 'written', version: (await this.client.put(key, operation.value)).version };
      case 'cas': {
        const { version } = await this.client.put(key, operation.value, { ifVersion: operation.expected });
        return { kind: 'written', version };
      }
      case 'delete':
        return { kind: 'written', version: (await this.client.delete(key)).version };
    }
  }
}

function choose(dice: number, value: string, version: number | undefined): Operation {
  if (dice < 0.4) return { kind: 'get' };
  if (dice < 0.75) return { kind: 'put', value };
  if (dice < 0.8) return { kind: 'delete' };
  return { kind: 'cas', expected: version ?? 'absent', value };
}

/** What a watch told, and whether it was as a watch must be. */
export class WatchRecord {
  readonly events: WatchEvent[] = [];
  readonly ended: Promise<void>;

  constructor(watch: AsyncIterable<WatchEvent>) {
    this.ended = this.read(watch);
  }

  /** What is wrong with what was told: order in a group, repeats, and what is missing of what was acknowledged. */
  problems(acknowledged: ClientWorkload['acknowledged']): string[] {
    const problems: string[] = [];
    const last = new Map<string, number>();
    const told = new Map<string, number>();
    const values = new Set<string>();
    for (const event of this.events) {
      const { group, version, key } = event;
      if (version <= (last.get(group) ?? 0))
        problems.push(`${group} went from ${last.get(group)} to ${version}`);
      last.set(group, version);
      if (event.kind !== 'put') continue;
      // Every write has a value of its own: one that is told twice was applied twice.
      const value = `${key}=${event.value.toString()}`;
      if (values.has(value)) problems.push(`${value} was applied twice`);
      values.add(value);
      told.set(key, version);
    }
    for (const [key, { version }] of acknowledged) {
      if (told.get(key) !== version) problems.push(`${key}@${version} was told as ${told.get(key)}`);
    }
    return problems;
  }

  private async read(watch: AsyncIterable<WatchEvent>): Promise<void> {
    for await (const event of watch) this.events.push(event);
  }
}
