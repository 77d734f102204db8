// Keeps a group's log short: takes a snapshot of the state when the log has grown, and lets the entries go that it
// covers, but for a tail that spares slow followers a snapshot. And loads the state from a snapshot.

import type { Clock, Logger } from '@datawarehouse/sdk';
import { errorMessage, isDwError, nextTurn } from '@datawarehouse/sdk';
import { snapshotUnavailable } from '../errors.js';
import type { GroupState } from '../state/group-state.js';
import type { StateRestorer } from '../state/replicated-state.js';
import type { NodeId } from '../raft/types.js';
import type { GroupStorage } from '../storage/types.js';
import type { EngineLimits } from './engine-limits.js';
import { membersOf } from './group-conf.js';
import type { RaftGroup } from './raft-group.js';

/** After a snapshot that failed, so many looks are passed over before the next try: about half a minute. */
const SKIP_AFTER_FAILURE = 300;
const YIELD_AFTER_MS = 4;
/** A tail that lets no entry go. */
const KEEP_ALL = Number.MAX_SAFE_INTEGER;
const RENEW_RETRY_MS = 1_000;
/** A log so many times longer than asked for is let go whoever still needs it. */
const HOLD_BACK_FACTOR = 4;

/** What the snapshots of a group need of its node. */
export interface SnapshotHost {
  readonly log: Logger;
  readonly limits: EngineLimits;
  /** Index of the oldest of the group's snapshots that are on their way to followers. */
  lowestSnapshotSent(group: RaftGroup): number | undefined;
  readonly clock: Clock;
}

/** Takes the snapshots of one group. */
export class GroupSnapshots {
  private running: Promise<number> | undefined;
  private skip = 0;
  private takenCount = 0;
  /** Index of the last snapshot in which a machine that keeps itself was written out. */
  private copyIndex: number | undefined;

  constructor(
    private readonly group: RaftGroup,
    private readonly host: SnapshotHost,
    private readonly stopped: () => boolean,
  ) {}

  /** Snapshots taken since the start. */
  get taken(): number {
    return this.takenCount;
  }

  /** Resolves when no snapshot is being taken. Never rejects. */
  async idle(): Promise<void> {
    await this.running?.catch(() => undefined);
  }

  /** Takes a snapshot in the background if the log is longer than the limits allow. */
  takeIfDue(limits: EngineLimits): void {
    if (this.running !== undefined) return;
    if (this.skip > 0) {
      this.skip--;
      return;
    }
    const { storage, lastApplied } = this.group;
    const entries = lastApplied - storage.firstIndex() + 1;
    const tail = this.tail(limits, entries);
    if (entries - tail <= 0) return;
    if (entries <= limits.snapshotEntries + tail && storage.logBytes <= limits.snapshotLogBytes) return;
    this.take(tail).catch((error: unknown) => {
      this.skip = SKIP_AFTER_FAILURE;
      this.host.log.error({ group: this.group.id, reason: errorMessage(error) }, 'could not take a snapshot');
    });
  }

  /**
   * Takes a snapshot of what is applied now and lets the log go, but for `tail` entries before it.
   * @returns the snapshot's index.
   * @throws DwError `snapshot-unavailable`, `storage-failed`.
   */
  async take(tail: number): Promise<number> {
    if (this.stopped()) throw snapshotUnavailable(this.group.id, 'the group stands still');
    if (this.running !== undefined) throw snapshotUnavailable(this.group.id, 'another one is being taken');
    this.running = this.save(tail);
    try {
      return await this.running;
    } finally {
      this.running = undefined;
    }
  }

  /** Whether a node is a member by the newest snapshot: by an older one it was not there yet, and would not take it. */
  covers(node: NodeId): boolean {
    const newest = this.group.storage.snapshot();
    return newest === undefined || membersOf(newest.metadata.conf).includes(node);
  }

  /**
   * Takes a snapshot of now, which a node that was added since the last one can start from, and lets the core try to send
   * that one. Never rejects.
   */
  async renewFor(node: NodeId): Promise<void> {
    try {
      await this.idle();
      if (!this.covers(node)) await this.take(KEEP_ALL);
    } catch (error) {
      this.host.log.warn(
        { group: this.group.id, node, reason: errorMessage(error) },
        'could not take a snapshot',
      );
      await new Promise<void>((resolve) => {
        this.host.clock.setTimeout(resolve, RENEW_RETRY_MS);
      });
    }
    this.group.reportSnapshot(node, false);
  }

  /** Ends with the group: lets a snapshot that is being taken end, and closes the state. Never rejects. */
  async close(): Promise<void> {
    await this.idle();
    try {
      await this.group.state.close();
    } catch (error) {
      const fields = { group: this.group.id, reason: errorMessage(error) };
      this.host.log.warn(fields, 'a state machine could not be closed');
    }
  }

  /** Calls `send` when there is a snapshot that a peer can use; when there can be none, says so to the core. */
  readyFor(peer: string, metadataOnly: boolean, send: () => void): void {
    if (metadataOnly || !this.needsCopy) {
      send();
      return;
    }
    this.copyForOthers().then(send, (error: unknown) => {
      const fields = { group: this.group.id, peer, reason: errorMessage(error) };
      this.host.log.warn(fields, 'could not write a state machine out for a peer');
      this.group.reportSnapshot(peer, false);
    });
  }

  /**
   * Whether the newest snapshot is of no use to another node: the state machine keeps itself, and is not written out in
   * it.
   */
  private get needsCopy(): boolean {
    const { state, storage } = this.group;
    return state.keepsItself && storage.snapshot()?.metadata.index !== this.copyIndex;
  }

  /** Takes a snapshot in which the state machine is written out for other nodes. @throws DwError `snapshot-unavailable`. */
  private async copyForOthers(): Promise<void> {
    await this.idle();
    if (!this.needsCopy) return;
    const { id, storage, lastApplied } = this.group;
    if ((storage.snapshot()?.metadata.index ?? 0) >= lastApplied) {
      // There can be one snapshot of an index: another entry makes room for the next.
      this.group.proposeNothing();
      throw snapshotUnavailable(id, 'one without the machine is the newest; the next has it');
    }
    if (this.stopped()) throw snapshotUnavailable(id, 'the group stands still');
    this.running = this.save(KEEP_ALL, true);
    try {
      this.copyIndex = await this.running;
    } finally {
      this.running = undefined;
    }
  }

  private async save(tail: number, complete = false): Promise<number> {
    const { storage, state, id } = this.group;
    const index = this.group.lastApplied;
    if (index === 0) throw snapshotUnavailable(id, 'nothing was applied yet');
    if ((storage.snapshot()?.metadata.index ?? 0) < index) {
      const term = storage.term(index);
      if (term === undefined) throw snapshotUnavailable(id, `the term of entry ${index} is not known`);
      // All are of this moment: the view does not change with what is applied while it is written, and the members are
      // those at this index, whatever the core has heard of since.
      const { conf } = this.group;
      const chunks = state.snapshot(complete, 'lent');
      // A machine that keeps itself must have on disk what the log will be let go for.
      await state.sync();
      await storage.saveSnapshot({ index, term, conf }, chunks);
      this.takenCount++;
      this.host.log.info({ group: id, index }, 'took a snapshot');
    }
    const newest = storage.snapshot()?.metadata.index ?? 0;
    const upTo = Math.min(newest - tail, this.heldBack());
    if (upTo >= storage.firstIndex()) await storage.compact(upTo);
    return newest;
  }

  /**
   * How far the log may be let go with regard to followers that are being sent an older snapshot: they will want the
   * entries after it. But for those of a follower that takes for ever, while the log grows beyond all bounds.
   */
  private heldBack(): number {
    const { storage } = this.group;
    if (storage.logBytes > HOLD_BACK_FACTOR * this.host.limits.snapshotLogBytes) return Infinity;
    return this.host.lowestSnapshotSent(this.group) ?? Infinity;
  }

  /** Entries to keep: as many as the limit says, but no more than half of the bytes that the log may have. */
  private tail(limits: EngineLimits, entries: number): number {
    if (entries <= 0) return 0;
    const average = Math.max(1, this.group.storage.logBytes / entries);
    return Math.min(limits.maxCacheEntries, Math.floor(limits.snapshotLogBytes / 2 / average));
  }
}

/**
 * Replaces a state by the newest snapshot, pausing so that the event loop goes on. Begins again when a newer snapshot
 * takes the place of the one that is being read.
 * @returns the snapshot's index.
 * @throws DwError `snapshot-damaged`, `raft-log-damaged`.
 */
export async function restoreState(storage: GroupStorage, state: GroupState, clock: Clock): Promise<number> {
  for (;;) {
    const snapshot = storage.snapshot();
    if (snapshot === undefined) throw snapshotUnavailable(storage.groupId, 'there is none');
    try {
      await readInto(state.beginRestore(snapshot.metadata.index), storage.readSnapshot(), clock);
      return snapshot.metadata.index;
    } catch (error) {
      const newest = storage.snapshot()?.metadata.index;
      if (!isDwError(error, 'raft-snapshot-gone') || newest === snapshot.metadata.index) throw error;
    }
  }
}

async function readInto(
  restorer: StateRestorer,
  chunks: AsyncIterable<Uint8Array>,
  clock: Clock,
): Promise<void> {
  try {
    await pushAll(restorer, chunks, clock);
    await restorer.finish();
  } catch (error) {
    restorer.abort?.(error);
    throw error;
  }
}

async function pushAll(
  restorer: StateRestorer,
  chunks: AsyncIterable<Uint8Array>,
  clock: Clock,
): Promise<void> {
  let since = clock.now();
  for await (const chunk of chunks) {
    await restorer.push(chunk);
    if (clock.now() - since < YIELD_AFTER_MS) continue;
    await nextTurn(clock);
    since = clock.now();
  }
}
