// Lets what is done to the replica of one group be done one after the other: a replica that is asked for must not fall
// between a look at the old one and its end.

/** One thing at a time for each group. */
export class GroupTurns {
  /** The end of what is under way. One entry for each group that is busy. */
  private readonly ends = new Map<string, Promise<unknown>>();

  /** Runs `work` after all that was given for the group before. */
  async run<T>(groupId: string, work: () => Promise<T>): Promise<T> {
    // Whoever gave what came before hears of its failure.
    const before = this.ends.get(groupId)?.catch(() => undefined) ?? Promise.resolve();
    const done = before.then(work);
    this.ends.set(groupId, done);
    try {
      return await done;
    } finally {
      if (this.ends.get(groupId) === done) this.ends.delete(groupId);
    }
  }
}
