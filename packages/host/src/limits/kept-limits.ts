// The limits that operators have set, on disk, one value for each subsystem. Only what was set is kept, so that a
// default which a later version changes is not held back by an old copy of it.

import { errorMessage } from '@datawarehouse/sdk';
import type { IPersistentBackingStore, Logger } from '@datawarehouse/sdk';

/** Values of limits by name. */
export type LimitValues = Readonly<Record<string, number>>;

const PREFIX = 'dw://internal/limits/';

/** Reads and writes kept limits. */
export class KeptLimits {
  constructor(
    private readonly store: IPersistentBackingStore,
    private readonly log: Logger,
  ) {}

  /**
   * What is kept for a subsystem. Damage is reported and counts as nothing kept: a node must start without its tuning
   * rather than not at all.
   * @throws DwError of the store.
   */
  async read(subsystem: string): Promise<LimitValues> {
    const data = await this.store.readAsync(PREFIX + subsystem);
    if (data === null) return {};
    try {
      const value: unknown = JSON.parse(Buffer.from(data).toString('utf8'));
      if (typeof value !== 'object' || value === null || Array.isArray(value)) {
        throw new TypeError('it is not an object');
      }
      return Object.fromEntries(
        Object.entries(value).filter((pair): pair is [string, number] => typeof pair[1] === 'number'),
      );
    } catch (thrown) {
      this.log.error(
        { subsystem, path: PREFIX + subsystem, reason: errorMessage(thrown) },
        'kept limits cannot be read and are ignored',
      );
      return {};
    }
  }

  /** Replaces what is kept. It is on disk when this returns. @throws DwError of the store. */
  async write(subsystem: string, values: LimitValues): Promise<void> {
    await this.store.writeAsync(PREFIX + subsystem, Buffer.from(JSON.stringify(values)));
  }
}
