// The clients of a simulation: each calls a node's key-value store as an HTTP client would, one operation after another,
// and remembers what it was told. Whoever hears nothing, or hears that nobody knows, knows nothing.

import { type CommandIdentity, type GroupSession, isDwError } from '@datawarehouse/sdk';
import type { KeyValueState } from '../../../packages/plugin-consensus/src/state/key-value-state.js';
import type { HistoryEntry } from '../../linearizability/checker.js';
import type { Operation, Outcome } from '../../linearizability/model.js';
import { Violation } from '../checks/violation.js';
import type { Prng } from './prng.js';
import type { Owner, Scheduler } from './scheduler.js';
import type { Life, SimNode } from './sim-node.js';
import type { Trace } from './trace.js';

/** A client gives up after this. */
const CALL_TIMEOUT_MS = 6_000;
const LEASE_READ_MS = 2_000;
const MAX_RETRIES = 4;
/** Probability that a client writes a burst before its next operation. */
const BURST = 0.02;
const BURST_WRITES = 10;
const BURST_PAUSE_MS = 15;
const BIG_VALUE_BYTES = 6_000;

/** Codes of refusals that a client of a healthy store may get; each says that nothing happened. */
const REFUSALS = new Set([
  'no-leader',
  'not-leader',
  'leadership-lost',
  'overloaded',
  'draining',
  'consensus-not-running',
  'storage-failed',
  'group-failed',
  'group-closed',
  'read-timeout',
  'proposal-expired',
  'proposal-superseded',
  'peer-unreachable',
  'peer-queue-full',
  'answer-lost',
  'answer-overdue',
  'aborted',
  // Of a policy of requests to peers.
  'bulkhead-full',
  'chaos-injected',
  'circuit-open',
  'peer-answer-invented',
  'peer-request-not-made',
]);

/** Codes of refusals of a node that is no member: no other one may give them. */
const STRANGERS: ReadonlySet<string> = new Set(['node-retired', 'groups-unknown']);

/** What came of a call: an outcome of the model, or that it certainly did nothing. */
type Told = Outcome | { readonly kind: 'refused'; readonly code: string };

/** How hard the clients work. */
export interface Load {
  readonly clients: number;
  readonly keys: number;
  /** Mean ms between the end of an operation and the next one of the client. */
  readonly pauseMs: number;
  /** Share of writes in a session or with an idempotency key, which the client repeats until it knows. */
  readonly once: number;
}

/** The clients and their history. */
export class Clients {
  readonly history: HistoryEntry[] = [];
  readonly counts = { done: 0, unknown: 0, refused: 0 };
  private serial = 0;
  /** The sessions that are open, by client and group, with the sequence used last. */
  private readonly sessions = new Map<string, GroupSession & { sequence: number }>();
  private stopping = false;
  private running = 0;

  constructor(
    private readonly nodes: readonly SimNode[],
    private readonly scheduler: Scheduler,
    private readonly owner: Owner,
    private readonly trace: Trace,
    private readonly prng: Prng,
    private readonly load: Load,
    private readonly groupOf: (key: string) => string,
  ) {}

  /** Whether no operation is under way and none will begin. */
  get idle(): boolean {
    return this.running === 0;
  }

  start(): void {
    for (let client = 0; client < this.load.clients; client++) {
      this.running++;
      this.loop(client).then(
        () => this.running--,
        (error: unknown) => this.scheduler.fail(error),
      );
    }
  }

  /** Begins nothing new. */
  stop(): void {
    this.stopping = true;
  }

  /** Does one operation at a node and remembers it. */
  async perform(node: SimNode, client: number, key: string, operation: Operation): Promise<Told> {
    const calledAt = this.scheduler.now;
    const told = await this.call(node, key, operation, undefined);
    this.remember(client, key, operation, told, calledAt);
    return told;
  }

  private async loop(client: number): Promise<void> {
    const known = new Map<string, number>();
    const { prng, load } = this;
    while (!this.stopping) {
      await this.scheduler.sleep(this.owner, prng.wait(load.pauseMs), 'client');
      if (this.stopping) return;
      if (prng.chance(BURST)) await this.burst(client);
      const key = prng.chance(0.1) ? `once-${client}-${this.serial}` : `key-${prng.below(load.keys)}`;
      const operation = this.choose(client, known.get(key));
      const told =
        operation.kind !== 'get' && prng.chance(load.once)
          ? await this.persist(client, key, operation)
          : await this.perform(prng.pick(this.nodes), client, key, operation);
      if ('version' in told && told.version !== undefined) known.set(key, told.version);
      else known.delete(key);
    }
  }

  /** Several writes one soon after the other, none of which waits for the others: a log with much in it uncommitted. */
  private async burst(client: number): Promise<void> {
    const { prng } = this;
    const writes: Promise<Told>[] = [];
    for (let n = 0; n < BURST_WRITES; n++) {
      const value = `b${client}-${++this.serial}`;
      writes.push(this.perform(prng.pick(this.nodes), client, `burst-${n}`, { kind: 'put', value }));
      await this.scheduler.sleep(this.owner, prng.wait(BURST_PAUSE_MS), 'client bursts');
    }
    await Promise.all(writes);
  }

  /** A write that has an identity, at one node after another until its outcome is known: it happens once. */
  private async persist(client: number, key: string, operation: Operation): Promise<Told> {
    const id = (this.prng.chance(0.5) ? await this.place(client, key) : undefined) ?? {
      idempotencyKey: `i${client}-${this.serial}`,
    };
    const calledAt = this.scheduler.now;
    let unknown = false;
    let told: Told = { kind: 'unknown' };
    for (let n = 0; n <= MAX_RETRIES; n++) {
      told = await this.call(this.prng.pick(this.nodes), key, operation, id);
      if (told.kind === 'unknown') unknown = true;
      else if (told.kind !== 'refused') break;
      await this.scheduler.sleep(this.owner, this.prng.wait(this.load.pauseMs), 'client retries');
    }
    // Refused now says nothing of the tries before.
    if (told.kind === 'refused' && unknown) told = { kind: 'unknown' };
    this.remember(client, key, operation, told, calledAt);
    return told;
  }

  /**
   * The next place in the client's session in the group of a key, which is opened at the first need. Earlier commands
   * are acknowledged: a copy of one that is still on its way must not be applied any more. Undefined when no session
   * could be opened.
   */
  private async place(client: number, key: string): Promise<CommandIdentity | undefined> {
    const group = this.groupOf(key);
    const name = `${client} ${group}`;
    let session = this.sessions.get(name);
    if (session === undefined) {
      const opened = await this.openSession(this.prng.pick(this.nodes), group);
      if (opened === undefined) return undefined;
      session = { ...opened, sequence: 0 };
      this.sessions.set(name, session);
    }
    const sequence = ++session.sequence;
    return { session: { group, session: session.session, sequence, lowestWanted: sequence } };
  }

  private openSession({ life }: SimNode, group: string): Promise<GroupSession | undefined> {
    const store = life?.store;
    if (life === undefined || store === undefined) return Promise.resolve(undefined);
    return new Promise((resolve, reject) => {
      const settle = (opened: GroupSession | undefined): void => {
        timer.cancel();
        life.onEnd.delete(lost);
        resolve(opened);
      };
      // One that was opened without the client's knowledge is never used.
      const lost = (): void => settle(undefined);
      const timer = this.scheduler.schedule(this.owner, CALL_TIMEOUT_MS, 'client gives up', lost);
      life.onEnd.add(lost);
      this.scheduler.schedule(life, 0, 'request', () => {
        store.openSessionAsync({ group }).then(settle, (error: unknown) => {
          if (isDwError(error)) settle(undefined);
          else reject(error);
        });
      });
    });
  }

  private choose(client: number, version: number | undefined): Operation {
    const dice = this.prng.unit();
    const big = this.prng.chance(0.2)
      ? '.'.repeat(this.prng.below(this.prng.pick([600, 2_000, BIG_VALUE_BYTES])))
      : '';
    const value = `c${client}-${++this.serial}${big}`;
    if (dice < 0.4) return { kind: 'get' };
    if (dice < 0.72) return { kind: 'put', value };
    if (dice < 0.8) return { kind: 'delete' };
    return { kind: 'cas', expected: version ?? 'absent', value };
  }

  private remember(client: number, key: string, operation: Operation, told: Told, calledAt: number): void {
    const returnedAt = this.scheduler.now;
    this.trace.note(returnedAt, `client ${client}`, `${operation.kind} ${key} ${told.kind}`);
    if (told.kind === 'refused') {
      this.counts.refused++;
      return;
    }
    this.counts[told.kind === 'unknown' ? 'unknown' : 'done']++;
    // A read of unknown outcome says nothing.
    if (told.kind === 'unknown' && operation.kind === 'get') return;
    this.history.push({ client, key, operation, outcome: told, calledAt, returnedAt });
  }

  /** One call to one node. Its process may end meanwhile, or never answer. */
  private call(
    node: SimNode,
    key: string,
    operation: Operation,
    id: CommandIdentity | undefined,
  ): Promise<Told> {
    const { life } = node;
    if (life?.store === undefined) return Promise.resolve({ kind: 'refused', code: 'connection-refused' });
    const { store } = life;
    // Some callers go before there is an answer, and say so.
    const leased = operation.kind === 'get' && this.prng.chance(0.4);
    const patience = this.prng.chance(0.1) ? this.prng.wait(50) : CALL_TIMEOUT_MS;
    return new Promise((resolve, reject) => {
      const settle = (told: Told): void => {
        timer.cancel();
        life.onEnd.delete(lost);
        resolve(told);
      };
      const lost = (): void => settle({ kind: 'unknown' });
      const timer = this.scheduler.schedule(this.owner, CALL_TIMEOUT_MS, 'client gives up', lost);
      life.onEnd.add(lost);
      // In the node's own time: a process that is paused takes nothing in.
      this.scheduler.schedule(life, 0, 'request', () => {
        const abort = patience < CALL_TIMEOUT_MS ? new AbortController() : undefined;
        if (abort !== undefined) {
          this.scheduler.schedule(life, patience, 'caller goes', () =>
            abort.abort(new Error('the caller went')),
          );
        }
        const answer = leased
          ? this.askByLease(life, key)
          : this.ask(store, key, operation, id, abort?.signal);
        answer.then(settle, (error: unknown) => {
          // Nothing happened, and this node says why it is the wrong one to ask.
          const standing = life.service?.standing;
          const fits =
            (standing === 'retired' && isDwError(error, 'node-retired')) ||
            (standing === 'joining' && isDwError(error, 'groups-unknown'));
          if (fits) settle({ kind: 'refused', code: error.code });
          else reject(error);
        });
      });
    });
  }

  /** A read at the leader that trusts its lease. Elsewhere it is refused, and nothing is asked of anybody. */
  private async askByLease(life: Life, key: string): Promise<Told> {
    const group = life.engine?.group(this.groupOf(key));
    if (group === undefined || !group.isLeader) return { kind: 'refused', code: 'not-leader' };
    const deadline = (life.engine?.clock.now() ?? 0) + LEASE_READ_MS;
    try {
      await new Promise<void>((resolve, reject) => {
        group.read(deadline, (error) => (error === undefined ? resolve() : reject(error)), 'lease');
      });
    } catch (error) {
      return told(error);
    }
    const found = (group.state.machine as KeyValueState).get(key);
    const value = found === undefined ? undefined : Buffer.from(found.value).toString();
    return { kind: 'read', value, version: found?.version };
  }

  private async ask(
    store: NonNullable<NonNullable<SimNode['life']>['store']>,
    key: string,
    operation: Operation,
    id: CommandIdentity | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Told> {
    const going = signal === undefined ? {} : { signal };
    const options = { ...going, ...id };
    try {
      switch (operation.kind) {
        case 'get': {
          const found = await store.getAsync(key, going);
          const value = found === undefined ? undefined : Buffer.from(found.value).toString();
          return { kind: 'read', value, version: found?.version };
        }
        case 'put': {
          const { version } = await store.putAsync(key, Buffer.from(operation.value), options);
          return { kind: 'written', version };
        }
        case 'delete': {
          const { version } = await store.deleteAsync(key, options);
          return { kind: 'written', version };
        }
        case 'cas': {
          const { version } = await store.putAsync(key, Buffer.from(operation.value), {
            ...options,
            ifVersion: operation.expected,
          });
          return { kind: 'written', version };
        }
      }
    } catch (error) {
      return told(error);
    }
  }
}

function told(error: unknown): Told {
  if (!isDwError(error)) throw new Violation('errors have codes', String(error));
  if (error.code === 'version-mismatch') return { kind: 'mismatch' };
  if (error.code === 'outcome-unknown') return { kind: 'unknown' };
  if (STRANGERS.has(error.code)) throw error;
  if (REFUSALS.has(error.code)) return { kind: 'refused', code: error.code };
  throw new Violation('refusals are known', `${error.code}: ${error.message}`);
}
