// Looks over everything that is sealed, over and over, at a bounded rate: opening a group reads only footers, and an
// entry is checked when it is read, so without this a bit that flipped would be found when it is needed most.

import { type Clock, sleep } from '@datawarehouse/sdk';
import { damageOf } from './group-damage.js';
import type { GroupDamage } from './types.js';

/** How much is read, and when. Asked for at each use. */
export interface ScrubSettings {
  /** Bytes a second; 0: nothing is looked over. */
  readonly bytesPerSecond: () => number;
  /** Ms from the end of one pass to the next. */
  readonly intervalMs: number;
}

/** A group as the scrubber sees it. */
export interface ScrubGroup {
  readonly groupId: string;
  /** Checks all that is sealed. `pace` is waited for before each read. @throws DwError `raft-log-damaged`, or another. */
  scrub(pace: (bytes: number) => Promise<void>): Promise<void>;
}

/** Ms before the first pass: a node that starts has better things to read. */
const FIRST_DELAY_MS = 1_000;
/** Ms between two looks at whether it is to go on, once it was told to rest in the middle. */
const REST_MS = 1_000;

/** The task that looks over a node's groups. Its owner starts and stops it. */
export class Scrubber {
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;
  #bytes = 0;
  #failures = 0;

  /**
   * @param groups Those that are open and not known to be damaged.
   * @param onDamage Told of what is found.
   */
  constructor(
    private readonly clock: Clock,
    private readonly settings: ScrubSettings,
    private readonly groups: () => readonly ScrubGroup[],
    private readonly onDamage: (damage: GroupDamage) => void,
  ) {}

  /** Bytes looked over since the start. */
  get bytes(): number {
    return this.#bytes;
  }

  /** How often something could not be read that is not known to be damaged. The next pass tries again. */
  get failures(): number {
    return this.#failures;
  }

  /** Begins, unless it is to rest. Calling it again does nothing. */
  start(): void {
    if (this.settings.bytesPerSecond() === 0 || this.#stopping.signal.aborted) return;
    this.#running ??= this.#run();
  }

  /** Resolves when nothing is read any more. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    let delay = FIRST_DELAY_MS;
    while (await this.#waited(delay)) {
      for (const group of this.groups()) await this.#scrub(group);
      delay = this.settings.intervalMs;
    }
  }

  async #scrub(group: ScrubGroup): Promise<void> {
    try {
      await group.scrub((bytes) => this.#pace(bytes));
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      const damage = damageOf(group.groupId, error);
      if (damage === undefined) this.#failures++;
      else this.onDamage(damage);
    }
  }

  async #pace(bytes: number): Promise<void> {
    while (this.settings.bytesPerSecond() === 0) await sleep(this.clock, REST_MS, this.#stopping.signal);
    await sleep(this.clock, (bytes * 1000) / this.settings.bytesPerSecond(), this.#stopping.signal);
    this.#bytes += bytes;
  }

  /** @returns false when it was stopped meanwhile. */
  async #waited(delayMs: number): Promise<boolean> {
    try {
      await sleep(this.clock, delayMs, this.#stopping.signal);
      return true;
    } catch (error) {
      if (this.#stopping.signal.aborted) return false;
      throw error;
    }
  }
}
