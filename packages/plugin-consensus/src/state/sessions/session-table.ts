// The sessions of a group's clients, and what became of their commands: with it a command is applied at most once,
// however often it is put in the log (Ongaro's dissertation, §6.3). It belongs to the group and lies around whatever
// state machine the group runs. It is a function of the applied entries alone: every replica has the same one, and
// forgets the same session at the same entry.

import type { Outcome } from '../outcome.js';
import { outcomeHash, resultBytes } from '../outcome.js';
import type { HashPair } from '../state-hash.js';
import { HashSum, hashName, mix } from '../state-hash.js';
import {
  MAX_OUTCOMES,
  MAX_OUTCOMES_PER_SESSION,
  MAX_RESULT_BYTES_PER_SESSION,
  MAX_RESULT_BYTES_TOTAL,
  MAX_SESSIONS,
} from './limits.js';
import type { TableView } from './idempotency-table.js';
import type { Recent } from './recency-log.js';
import { RecencyLog } from './recency-log.js';

/** What sessions and their outcomes are to the hash: they have no names. */
const SESSION = hashName(4, '');
const SESSION_OUTCOME = hashName(5, '');

/** A command's place in its session. */
export interface SessionCommand {
  /** Id of the session: the index of the entry that opened it. */
  readonly session: number;
  /** Unlike that of any other command of the session. */
  readonly sequence: number;
  /** Every lower sequence is acknowledged: its outcome is not wanted any more, and it will not be sent again. */
  readonly lowestWanted: number;
}

/** What is remembered of a command. */
export interface RememberedCommand {
  readonly sequence: number;
  /** Of the command's bytes, a signed number: another one finds a client that uses a sequence twice. */
  readonly fingerprint: number;
  readonly outcome: Outcome;
}

/** A session as a snapshot has it. */
export interface SessionRecord {
  readonly id: number;
  readonly lastUsed: number;
  readonly lowestWanted: number;
  readonly commands: readonly RememberedCommand[];
}

interface Session extends Recent {
  readonly id: number;
  /** Index of the last entry of this session. Rises along the recency list, and no two sessions have the same. */
  lastUsed: number;
  /** Only rises. No sequence below it is in `commands`, and none will ever be applied. */
  lowestWanted: number;
  /** By sequence; at most `maxOutcomesPerSession`. */
  readonly commands: Map<number, RememberedCommand>;
  resultBytes: number;
}

/** A view that is being read. */
interface View {
  /** Sessions that were opened after this index are not in it. */
  readonly upTo: number;
  /** Sessions that have changed since, as they were. */
  readonly before: Map<Session, SessionRecord>;
}

/** Bounds of a table; equal on all replicas. */
export interface SessionBounds {
  readonly sessions: number;
  readonly outcomesPerSession: number;
  readonly outcomes: number;
  readonly resultBytesPerSession: number;
  readonly resultBytes: number;
}

/** The bounds that every product has. */
export const SESSION_BOUNDS: SessionBounds = {
  sessions: MAX_SESSIONS,
  outcomesPerSession: MAX_OUTCOMES_PER_SESSION,
  outcomes: MAX_OUTCOMES,
  resultBytesPerSession: MAX_RESULT_BYTES_PER_SESSION,
  resultBytes: MAX_RESULT_BYTES_TOTAL,
};

const EXPIRED: Outcome = { status: 'session-expired' };
const ACKNOWLEDGED: Outcome = { status: 'sequence-acknowledged' };
const REUSED: Outcome = { status: 'sequence-reused' };
const FULL: Outcome = { status: 'session-full' };

/** The sessions of one group. */
export class SessionTable {
  private readonly byId = new Map<number, Session>();
  private readonly recency = new RecencyLog<Session>();
  private readonly sum = new HashSum();
  /** Index of the last entry of any session. */
  private newestUse = 0;
  private viewed: View | undefined;
  private outcomeCount = 0;
  private bytes = 0;

  constructor(private readonly bounds: SessionBounds = SESSION_BOUNDS) {}

  /** Sessions that are open. */
  get size(): number {
    return this.byId.size;
  }

  /** Outcomes kept. */
  get outcomes(): number {
    return this.outcomeCount;
  }

  /** Sum of the hashes of all sessions and outcomes. */
  get hash(): HashPair {
    return this.sum;
  }

  /** Whether a session is open. Looking does not count as use: only entries do, which all replicas see. */
  has(id: number): boolean {
    return this.byId.has(id);
  }

  /** The entry at `index` opens a session, whose id is that index. The least recently used one goes if there are too many. */
  open(index: number): void {
    const oldest = this.recency.oldest;
    if (this.byId.size >= this.bounds.sessions && oldest !== undefined) this.forget(oldest);
    const opened = this.restore({ id: index, lastUsed: index, lowestWanted: 0, commands: [] });
    if (!opened) throw new Error(`entry ${index} comes after one that is not before it`);
  }

  /** An entry closes a session. @returns false when there is none of that id. */
  close(id: number): boolean {
    const session = this.byId.get(id);
    if (session === undefined) return false;
    this.forget(session);
    return true;
  }

  /**
   * The entry at `index` carries a command of a session: takes in what it acknowledges, and says what is known of it.
   * @returns the outcome that the command has, or a refusal; undefined when it is to be applied now, after which
   * {@link remember} must be called.
   */
  admit(command: SessionCommand, fingerprint: number, index: number): Outcome | undefined {
    const session = this.byId.get(command.session);
    if (session === undefined) return EXPIRED;
    this.use(session, command.lowestWanted, index);
    if (command.sequence < session.lowestWanted) return ACKNOWLEDGED;
    const known = session.commands.get(command.sequence);
    if (known !== undefined) return known.fingerprint === fingerprint ? known.outcome : REUSED;
    const { outcomesPerSession, resultBytesPerSession } = this.bounds;
    if (session.commands.size >= outcomesPerSession || session.resultBytes >= resultBytesPerSession)
      return FULL;
    return undefined;
  }

  /** Keeps the outcome of a command that {@link admit} let through. */
  remember({ session: id, sequence }: SessionCommand, fingerprint: number, outcome: Outcome): void {
    const session = this.byId.get(id);
    if (session === undefined) return;
    this.keep(session, { sequence, fingerprint, outcome });
    while (this.outcomeCount > this.bounds.outcomes || this.bytes > this.bounds.resultBytes) {
      const { oldest } = this.recency;
      // The session in use is the newest: alone it is within its own bounds, but for one result.
      if (oldest === undefined || oldest === session) return;
      this.forget(oldest);
    }
  }

  /**
   * All sessions as they are now, the least recently used first. Nothing is copied but their order: a session that
   * changes while the view is read is kept for it as it was. There is one view at a time; another one ends the first.
   */
  view(): TableView<SessionRecord> {
    const order = this.recency.view();
    const view: View = { upTo: this.newestUse, before: new Map() };
    this.viewed = view;
    return { size: this.byId.size, records: () => this.recordsOf(order, view) };
  }

  /** Adds a session of a snapshot, which was used after all that are here. @returns false when it was not. */
  restore({ id, lastUsed, lowestWanted, commands }: SessionRecord): boolean {
    if (this.byId.has(id) || lastUsed <= this.newestUse || lastUsed < id) return false;
    const session: Session = {
      id,
      lastUsed,
      lowestWanted,
      commands: new Map(),
      resultBytes: 0,
      slot: -1,
    };
    this.byId.set(id, session);
    this.recency.add(session);
    this.newestUse = lastUsed;
    this.sum.addRecord(SESSION, session.id, sessionContent(session));
    for (const command of commands) this.keep(session, command);
    return true;
  }

  private *recordsOf(order: readonly (Session | undefined)[], view: View): Generator<SessionRecord> {
    for (const session of order) {
      if (session === undefined) continue;
      if (this.viewed !== view) throw new Error('another view of the sessions was taken meanwhile');
      yield view.before.get(session) ?? recordOf(session);
      view.before.delete(session);
    }
    this.viewed = undefined;
  }

  /** A session is about to change: keeps it as it is for a view that is being read. */
  private keepForView(session: Session): void {
    const view = this.viewed;
    if (view === undefined || session.id > view.upTo || view.before.has(session)) return;
    view.before.set(session, recordOf(session));
  }

  private use(session: Session, lowestWanted: number, index: number): void {
    this.keepForView(session);
    this.sum.subtractRecord(SESSION, session.id, sessionContent(session));
    session.lastUsed = index;
    this.newestUse = index;
    this.recency.touch(session);
    if (lowestWanted > session.lowestWanted) this.acknowledge(session, lowestWanted);
    this.sum.addRecord(SESSION, session.id, sessionContent(session));
  }

  private acknowledge(session: Session, lowestWanted: number): void {
    const from = session.lowestWanted;
    session.lowestWanted = lowestWanted;
    // Sequences may have gaps of any size: walk over what is there when that is less.
    if (lowestWanted - from <= session.commands.size) {
      for (let sequence = from; sequence < lowestWanted; sequence++) this.drop(session, sequence);
      return;
    }
    for (const sequence of session.commands.keys()) if (sequence < lowestWanted) this.drop(session, sequence);
  }

  private keep(session: Session, command: RememberedCommand): void {
    session.commands.set(command.sequence, command);
    const bytes = resultBytes(command.outcome);
    session.resultBytes += bytes;
    this.bytes += bytes;
    this.outcomeCount++;
    this.sum.addRecord(SESSION_OUTCOME, command.sequence, commandContent(session.id, command));
  }

  private drop(session: Session, sequence: number): void {
    const command = session.commands.get(sequence);
    if (command === undefined) return;
    session.commands.delete(sequence);
    const bytes = resultBytes(command.outcome);
    session.resultBytes -= bytes;
    this.bytes -= bytes;
    this.outcomeCount--;
    this.sum.subtractRecord(SESSION_OUTCOME, command.sequence, commandContent(session.id, command));
  }

  private forget(session: Session): void {
    this.keepForView(session);
    for (const sequence of session.commands.keys()) this.drop(session, sequence);
    this.byId.delete(session.id);
    this.recency.remove(session);
    this.sum.subtractRecord(SESSION, session.id, sessionContent(session));
  }
}

function recordOf({ id, lastUsed, lowestWanted, commands }: Session): SessionRecord {
  return { id, lastUsed, lowestWanted, commands: [...commands.values()] };
}

/** Hash of what a session is now. Made anew whenever it is needed: that costs less than to keep it. */
function sessionContent({ lastUsed, lowestWanted }: Session): number {
  return mix(lastUsed) ^ mix(lowestWanted + 0x51ed270b);
}

/** Hash of what is remembered of a command of a session. */
function commandContent(id: number, { fingerprint, outcome }: RememberedCommand): number {
  return mix(id) ^ mix(fingerprint ^ outcomeHash(outcome));
}
