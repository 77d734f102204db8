// Sessions: what lets a command be retried for as long as it takes and still be applied once.

/** A session of a client in one group. */
export interface GroupSession {
  readonly group: string;
  /** Id of the session, unique in its group. */
  readonly session: number;
}

/** The place of a command in a session. */
export interface SessionPlace extends GroupSession {
  /** Unlike that of any other command of the session; a retry has the same. Gaps and any order are allowed. */
  readonly sequence: number;
  /**
   * Every lower sequence is acknowledged: the client has its outcome, or does not want it, and will not send it again.
   * What it says frees memory of the group, which keeps a bounded number of outcomes for a session. Default 0.
   */
  readonly lowestWanted?: number;
}

/** What makes a command apply once. Without either, a command whose outcome is unknown cannot be retried safely. */
export interface CommandIdentity {
  /**
   * A retry with the same key is applied once and gets the first outcome, as long as the group has not seen 100 000
   * other keys since. 1 to 128 characters.
   */
  readonly idempotencyKey?: string;
  /** A retry with the same place is applied once, or refused: never applied a second time. */
  readonly session?: SessionPlace;
}
