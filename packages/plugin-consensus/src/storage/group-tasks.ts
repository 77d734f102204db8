// Work on a group's files that goes on beside the group's queue (snapshots being written): who it belongs to, how it is
// called off, and how its end is waited for, by one group that goes or by the whole storage.

/** The running work of all groups of a node. */
export class GroupTasks {
  readonly #tasks = new Map<Promise<unknown>, string>();
  readonly #aborts = new Map<(error: Error) => void, string>();

  /** Waited for by {@link settled}. */
  async track<T>(groupId: string, task: Promise<T>): Promise<T> {
    this.#tasks.set(task, groupId);
    try {
      return await task;
    } finally {
      this.#tasks.delete(task);
    }
  }

  /** A promise that rejects when the group's work is called off; `release` lets go of it. */
  aborted(groupId: string): { readonly promise: Promise<never>; readonly release: () => void } {
    let abort: (error: Error) => void = () => undefined;
    const promise = new Promise<never>((_resolve, reject) => {
      abort = reject;
      this.#aborts.set(reject, groupId);
    });
    return { promise, release: () => void this.#aborts.delete(abort) };
  }

  /** Calls off the work of one group, or of all. */
  abort(error: Error, groupId?: string): void {
    for (const [abort, owner] of this.#aborts) {
      if (groupId !== undefined && owner !== groupId) continue;
      this.#aborts.delete(abort);
      abort(error);
    }
  }

  /** Resolves when the work of one group, or of all, has ended, however it ended. */
  async settled(groupId?: string): Promise<void> {
    const tasks = [...this.#tasks].filter(([, owner]) => groupId === undefined || owner === groupId);
    await Promise.allSettled(tasks.map(([task]) => task));
  }
}
