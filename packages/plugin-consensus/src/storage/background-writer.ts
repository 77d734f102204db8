// The one background task of a node's storage: drains the queues of groups, one group at a time. Its owner hears of a
// failure, and waits for it when closing.

import { type Clock, nextTurn } from '@datawarehouse/sdk';
import type { GroupWriter } from './group-writer.js';

/** Drains group writers in the order in which they asked. */
export class BackgroundWriter {
  readonly #ready = new Set<GroupWriter>();
  #running: Promise<void> | undefined;
  #stopped = false;

  /**
   * @param onDrained Told after each group.
   * @param onFailed Told of a failure; nothing is drained after it.
   */
  constructor(
    private readonly clock: Clock,
    private readonly onDrained: () => void,
    private readonly onFailed: (error: unknown) => void,
  ) {}

  /** Has a group drained soon. */
  schedule(writer: GroupWriter): void {
    if (this.#stopped || writer.idle) return;
    this.#ready.add(writer);
    this.#running ??= this.#run();
  }

  /** Drains nothing more, and resolves when what was under way has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    // Not in the turn that asked: a turn's write goes to the journal before anything else.
    await nextTurn(this.clock);
    try {
      for (const writer of this.#ready) {
        if (this.#stopped) break;
        this.#ready.delete(writer);
        await writer.drain();
        this.onDrained();
      }
    } catch (error) {
      this.#stopped = true;
      this.onFailed(error);
    }
    this.#running = undefined;
  }
}
