// The state of one group: the sessions of its clients around the state machine that it runs. A command that carries its
// place in a session, or an idempotency key, reaches the machine once; another copy of it gets the outcome that the
// first one had. So every machine has exactly-once without doing anything for it.

import type { AppliedEntry } from '@datawarehouse/sdk';
import { crc32, isDwError } from '@datawarehouse/sdk';
import { snapshotDamaged } from '../errors.js';
import { machineBehind } from './errors.js';
import type { Outcome } from './outcome.js';
import type { ReplicatedState, StateRestorer } from './replicated-state.js';
import { decodeKeyedCommand, decodeSessionCommand, decodeSessionId } from './sessions/command-header.js';
import { IdempotencyTable } from './sessions/idempotency-table.js';
import type { SessionTables } from './sessions/session-snapshot.js';
import { SessionRestorer, sessionSnapshot } from './sessions/session-snapshot.js';
import type { ChunkMemory } from './snapshot-blocks.js';
import type { SessionBounds } from './sessions/session-table.js';
import { SESSION_BOUNDS, SessionTable } from './sessions/session-table.js';
import { addHash, formatHash, hashText } from './state-hash.js';

/**
 * What the data of an entry is: a command of the group's state machine, alone or with what makes it apply once; the
 * opening or closing of a session; or bytes that mean nothing to this plugin.
 */
export type EntryKind =
  | 'command'
  | 'opaque'
  | 'session-command'
  | 'keyed-command'
  | 'open-session'
  | 'close-session';

const COMMITTED: Outcome = { status: 'committed' };
const EXPIRED: Outcome = { status: 'session-expired' };
const NOT_KEPT: Outcome = { status: 'result-not-kept' };
const CLOSED: Outcome = { status: 'session-closed' };

/** What all replicas of a group have in common. */
export class GroupState {
  private tables: SessionTables;

  /** Index of the last entry in a machine that keeps itself: it is not given this one or those before it again. */
  private held = 0;

  /**
   * @param machine The state machine that the group runs.
   * @param bounds Of the sessions; equal on all replicas, so other than the usual ones only in tests.
   */
  constructor(
    readonly machine: ReplicatedState,
    private readonly bounds: SessionBounds = SESSION_BOUNDS,
  ) {
    this.tables = { sessions: new SessionTable(bounds), keys: new IdempotencyTable() };
  }

  /** Whether the machine keeps its state on disk by itself. */
  get keepsItself(): boolean {
    return this.machine.disk !== undefined;
  }

  /** Opens what the machine has on disk. Call it before anything else. @throws what the machine throws. */
  async open(): Promise<void> {
    if (this.machine.disk !== undefined) this.held = await this.machine.disk.open();
  }

  /** Resolves when a machine that keeps itself has all on disk that was applied before the call. */
  async sync(): Promise<void> {
    await this.machine.disk?.sync();
  }

  /** The group is closed on this node. */
  async close(): Promise<void> {
    await this.machine.close?.();
  }

  /** The sessions of the group's clients. Only to be looked at. */
  get sessions(): Pick<SessionTable, 'size' | 'outcomes' | 'has'> {
    return this.tables.sessions;
  }

  /**
   * Applies one entry. Data that does not follow its format changes nothing, on every replica alike.
   * @throws what the machine throws; nothing is remembered then.
   */
  apply(kind: EntryKind, entry: AppliedEntry): Outcome {
    switch (kind) {
      case 'command':
        return this.run(entry);
      case 'opaque':
        return COMMITTED;
      case 'session-command':
        return this.applyInSession(entry);
      case 'keyed-command':
        return this.applyKeyed(entry);
      case 'open-session':
        this.tables.sessions.open(entry.index);
        return { status: 'session-opened', session: entry.index };
      case 'close-session':
        return this.closeSession(entry.data);
    }
  }

  /**
   * The whole state as of this call: the sessions first, then what the machine has.
   * @param complete Whether a machine that keeps itself is written out as well, which only another node needs.
   * @param memory `lent` when each chunk is used only until the next is pulled.
   */
  snapshot(complete = false, memory: ChunkMemory = 'own'): Iterable<Uint8Array> {
    if (this.keepsItself && !complete) return sessionSnapshot(this.tables, 'kept');
    return concat(sessionSnapshot(this.tables, 'follows'), this.machine.snapshot(memory));
  }

  /** Begins to take another state in. @throws DwError `snapshot-damaged`, and what the machine throws. */
  beginRestore(index: number): StateRestorer {
    const own = new SessionRestorer(this.bounds);
    let machine: StateRestorer | undefined;
    // A machine that keeps itself may be ahead of the snapshot.
    const needed = !this.keepsItself || this.held < index;
    return {
      push: (chunk) => {
        const rest = own.push(chunk);
        if (rest === undefined || rest.length === 0) return undefined;
        if (own.machine === 'kept') throw snapshotDamaged('something follows its end');
        if (!needed) return undefined;
        machine ??= this.machine.beginRestore(index);
        return machine.push(rest);
      },
      finish: async () => {
        if (!own.done) throw snapshotDamaged('it ends early');
        if (own.machine === 'kept' && needed) throw machineBehind(index, this.held);
        if (needed) {
          machine ??= this.machine.beginRestore(index);
          await machine.finish();
          if (this.keepsItself) this.held = index;
        }
        this.tables = own.tables;
      },
      abort: (error) => machine?.abort?.(error),
    };
  }

  /** Equal on replicas that have applied the same entries. */
  stateHash(appliedIndex: number): string {
    const { sessions, keys } = this.tables;
    // A machine that keeps itself is ahead of the log for a moment after a start: nobody has a state to compare with.
    if (this.held > appliedIndex) return '';
    const machine = this.machine.stateHash(appliedIndex);
    const text = { a: hashText(machine), b: hashText(`${machine}#`) };
    return formatHash(addHash(addHash(sessions.hash, keys.hash), text), appliedIndex);
  }

  private run(entry: AppliedEntry): Outcome {
    return entry.index <= this.held ? NOT_KEPT : this.machine.apply(entry);
  }

  /**
   * What is remembered of an outcome. A machine that keeps itself is not asked again after a restart what it answered
   * before, so the answers are remembered on no replica, lest the replicas differ.
   */
  private kept(outcome: Outcome): Outcome {
    return this.machine.disk === undefined ? outcome : NOT_KEPT;
  }

  private applyInSession(entry: AppliedEntry): Outcome {
    const { sessions } = this.tables;
    const decoded = wellFormed(decodeSessionCommand, entry.data);
    if (decoded === undefined) return COMMITTED;
    // Signed: such a number needs no box of its own where it is kept.
    const fingerprint = crc32(decoded.command) | 0;
    const known = sessions.admit(decoded, fingerprint, entry.index);
    if (known !== undefined) return known;
    const outcome = this.run(withData(entry, decoded.command));
    sessions.remember(decoded, fingerprint, this.kept(outcome));
    return outcome;
  }

  private applyKeyed(entry: AppliedEntry): Outcome {
    const { keys } = this.tables;
    const decoded = wellFormed(decodeKeyedCommand, entry.data);
    if (decoded === undefined) return COMMITTED;
    const { header, command } = decoded;
    const known = keys.admit(header.key, header.fingerprint, entry.index);
    if (known !== undefined) return known;
    const outcome = this.run(withData(entry, command));
    keys.remember({ ...header, outcome: this.kept(outcome), lastUsed: entry.index });
    return outcome;
  }

  private closeSession(data: Uint8Array): Outcome {
    const id = wellFormed(decodeSessionId, data);
    if (id === undefined) return COMMITTED;
    return this.tables.sessions.close(id) ? CLOSED : EXPIRED;
  }
}

/** The entry with what is left of its data. Hot path: a spread is several times slower. */
function withData({ index, term, proposer, time }: AppliedEntry, data: Uint8Array): AppliedEntry {
  return { index, term, proposer, time, data };
}

/** What the bytes say; undefined when they do not follow their format. */
function wellFormed<T>(decode: (bytes: Uint8Array) => T, bytes: Uint8Array): T | undefined {
  try {
    return decode(bytes);
  } catch (error) {
    if (isDwError(error, 'frame-malformed')) return undefined;
    throw error;
  }
}

function* concat(first: Iterable<Uint8Array>, second: Iterable<Uint8Array>): Generator<Uint8Array> {
  yield* first;
  yield* second;
}
