// The sessions of a client: one for each group that it writes to, opened when the first write needs it. When a group has
// forgotten a session (it keeps a bounded number, the least recently used going first), writes that were not sent yet
// get another one; a write that may have been applied under the forgotten one is not sent again.

import { GroupSession } from './group-session.js';

/** A write's place. */
export interface SessionPlace {
  readonly session: GroupSession;
  readonly sequence: number;
}

/** The sessions of a client, by group. */
export class SessionPool {
  private readonly sessions = new Map<string, GroupSession>();
  private readonly opening = new Set<string>();

  /**
   * @param begin Asks a group for a session; one of {@link opened} and {@link failed} follows.
   */
  constructor(private readonly begin: (group: string) => void) {}

  /** A place for a write to this group; undefined when it must wait, for a session or for room in it. */
  take(group: string): SessionPlace | undefined {
    const session = this.sessions.get(group);
    if (session !== undefined) {
      return session.hasRoom ? { session, sequence: session.take() } : undefined;
    }
    if (!this.opening.has(group)) {
      this.opening.add(group);
      this.begin(group);
    }
    return undefined;
  }

  /** A session was opened. */
  opened(group: string, id: number): void {
    this.opening.delete(group);
    this.sessions.set(group, new GroupSession(id));
  }

  /** No session could be opened; the next write asks again. */
  failed(group: string): void {
    this.opening.delete(group);
  }

  /** The group has forgotten this session. */
  expired(group: string, session: GroupSession): void {
    if (this.sessions.get(group) === session) this.sessions.delete(group);
  }

  /** The sessions that are open, by group. */
  all(): ReadonlyMap<string, GroupSession> {
    return this.sessions;
  }
}
