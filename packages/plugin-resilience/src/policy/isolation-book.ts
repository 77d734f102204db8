// What was isolated by hand stays so until it is reset by hand: also across restarts, so that a node that comes up again
// does not call what an operator has taken out of use. Kept for each policy: whether all its keys are isolated, and which
// single ones. A single key that is reset while all are isolated is isolated again after a restart.

import { errorMessage, isDwError } from '@datawarehouse/sdk';
import type { IPersistentBackingStore, Logger } from '@datawarehouse/sdk';
import { isolationsExhausted, orderNotKept } from '../errors.js';
import type { ResilienceService } from './resilience-service.js';
import { TurnQueue } from './turn-queue.js';

/** Single keys of one policy that may be isolated by hand. Who wants more isolates the policy. */
const MAX_KEYS = 1_000;

/** Why, by whom and when something was isolated. */
interface Isolation {
  readonly reason: string;
  readonly by: string;
  /** Milliseconds since 1970 UTC, for display. */
  readonly at: number;
}

interface Kept {
  readonly all?: Isolation;
  readonly keys: Readonly<Record<string, Isolation>>;
}

const NOTHING: Kept = { keys: {} };

/** What an {@link IsolationBook} needs. */
export interface IsolationBookOptions {
  readonly store: IPersistentBackingStore;
  /** Makes the path of a policy in the store. Called with the name, or with the empty text for what all begin with. */
  readonly path: (name: string) => string;
  readonly service: Pick<ResilienceService, 'isolate' | 'reset'>;
  readonly log: Logger;
  readonly wallTime: () => number;
}

/** Isolates and resets by hand. */
export class IsolationBook {
  private readonly byName = new Map<string, Kept>();
  private readonly turns = new TurnQueue();

  constructor(private readonly options: IsolationBookOptions) {}

  /** Isolates again what was isolated before the restart. What cannot be is logged. */
  async restore(): Promise<void> {
    const { store, path, service, log } = this.options;
    for (const place of await store.listAsync(path(''))) {
      const bytes = await store.readAsync(place);
      if (bytes === null) continue;
      const name = place.slice(path('').length);
      try {
        const kept = readKept(bytes);
        if (kept.all !== undefined) service.isolate(name, undefined, kept.all.reason);
        for (const [key, { reason }] of Object.entries(kept.keys)) service.isolate(name, key, reason);
        this.byName.set(name, kept);
        log.warn({ policy: name }, `policy ${name}: isolated by hand before the restart, and still`);
      } catch (thrown) {
        log.error(
          { policy: name },
          `policy ${name}: what was isolated is not any more: ${errorMessage(thrown)}`,
        );
      }
    }
  }

  /**
   * Opens the breakers of a key or of all keys, until they are reset.
   * @throws DwError `policy-unknown`, `policy-has-no-breaker`, `isolations-exhausted`; `resilience-order-not-kept` when it
   * holds but only until a restart.
   */
  isolate(name: string, key: string | undefined, reason: string, by: string): Promise<void> {
    return this.turns.run(async () => {
      const kept = this.byName.get(name) ?? NOTHING;
      const isolation: Isolation = { reason, by, at: this.options.wallTime() };
      if (key !== undefined && !Object.hasOwn(kept.keys, key) && Object.keys(kept.keys).length >= MAX_KEYS) {
        throw isolationsExhausted(name, MAX_KEYS);
      }
      this.options.service.isolate(name, key, reason);
      this.options.log.warn({ policy: name, key, reason, by }, `policy ${name}: isolate by ${by}: ${reason}`);
      await this.keep(
        name,
        key === undefined
          ? { ...kept, all: isolation }
          : { ...kept, keys: { ...kept.keys, [key]: isolation } },
      );
    });
  }

  /** Closes the breakers of a key or of all keys. @throws as {@link isolate}; DwError `resilience-key-unknown`. */
  reset(name: string, key: string | undefined, reason: string, by: string): Promise<void> {
    return this.turns.run(async () => {
      const kept = this.byName.get(name);
      const isKept = kept !== undefined && (key === undefined || Object.hasOwn(kept.keys, key));
      try {
        this.options.service.reset(name, key, reason);
      } catch (thrown) {
        // Its breaker went with a change of the policy. What is kept of it goes, or it would be isolated after a restart.
        if (!isKept || !isBreakerGone(thrown)) throw thrown;
      }
      this.options.log.warn({ policy: name, key, reason, by }, `policy ${name}: reset by ${by}: ${reason}`);
      if (kept === undefined) return;
      if (key === undefined) await this.keep(name, NOTHING);
      else {
        const { [key]: _reset, ...keys } = kept.keys;
        await this.keep(name, { ...kept, keys });
      }
    });
  }

  /** The policy is about to go for good. */
  forget(name: string): Promise<void> {
    return this.turns.run(async () => {
      if (this.byName.has(name)) await this.keep(name, NOTHING);
    });
  }

  private async keep(name: string, kept: Kept): Promise<void> {
    const { store, path } = this.options;
    const isEmpty = kept.all === undefined && Object.keys(kept.keys).length === 0;
    try {
      if (isEmpty) await store.deleteAsync(path(name));
      else await store.writeAsync(path(name), Buffer.from(JSON.stringify(kept)));
    } catch (thrown) {
      throw orderNotKept(name, thrown);
    }
    if (isEmpty) this.byName.delete(name);
    else this.byName.set(name, kept);
  }
}

function isBreakerGone(thrown: unknown): boolean {
  return isDwError(thrown, 'resilience-key-unknown') || isDwError(thrown, 'policy-has-no-breaker');
}

/** What was kept of a policy, from the disk. @throws when it is anything else. */
function readKept(bytes: Uint8Array): Kept {
  const kept = JSON.parse(Buffer.from(bytes).toString('utf8')) as Partial<Kept> | null;
  const keys = kept?.keys;
  if (typeof keys !== 'object' || keys === null || Object.keys(keys).length > MAX_KEYS) {
    throw new Error(`it must hold at most ${MAX_KEYS} keys by name`);
  }
  const all = kept?.all === undefined ? [] : [kept.all];
  for (const isolation of [...all, ...Object.values(keys)] as (Partial<Isolation> | null)[]) {
    if (typeof isolation?.reason !== 'string')
      throw new Error('an isolation must have a reason that is text');
  }
  return kept as Kept;
}
