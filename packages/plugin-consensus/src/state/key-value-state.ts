// The key-value state machine: a deterministic function of the entries applied to it. No clock, no randomness, nothing
// that depends on this node's configuration; a command that means nothing changes nothing, on every replica alike.

import type { AppliedEntry } from '@datawarehouse/sdk';
import { crc32, isDwError } from '@datawarehouse/sdk';
import type { KeyValueCommand, WriteCondition } from './command.js';
import { decodeCommand } from './command.js';
import type { ChangesAfter } from './history/change-history.js';
import { ChangeHistory } from './history/change-history.js';
import type { OrderedView } from './cow-ordered-map.js';
import { CowOrderedMap } from './cow-ordered-map.js';
import type { Outcome } from './outcome.js';
import type { ReplicatedState } from './replicated-state.js';
import { HashSum, formatHash, hashName } from './state-hash.js';
import type { ChunkMemory } from './snapshot-blocks.js';
import { SnapshotRestorer, writeSnapshot } from './snapshot-format.js';
import type { Slab, ValuePlace } from './value-slabs.js';
import { ValueSlabs, valueAt } from './value-slabs.js';

/**
 * Keys that one group can hold. A constant, since all replicas must refuse the same write. At this many keys the
 * smallest values take about 2 GB.
 */
export const MAX_KEYS_PER_GROUP = 10_000_000;

/** One key's record, and the place of its value. Never changed once made, so that views can share it. */
export class KeyValueRecord implements ValuePlace {
  readonly slab: Slab;
  readonly at: number;
  readonly length: number;

  constructor(
    { slab, at, length }: ValuePlace,
    /** Index of the entry that wrote it. Rises with each write of the group and is never used twice. */
    readonly version: number,
    /** CRC-32 of the value, as a signed number. The record's hash is made of it whenever it is needed. */
    readonly content: number,
  ) {
    this.slab = slab;
    this.at = at;
    this.length = length;
  }

  /** A view of the value, which shares its buffer with other values: whoever keeps it copies it. */
  get value(): Uint8Array {
    return valueAt(this);
  }
}

const COMMITTED: Outcome = { status: 'committed' };
/** What kind a record is to the hash of the state. */
const RECORD = 1;

/** The replicated keys and values of one group. */
export class KeyValueState implements ReplicatedState {
  private records = new CowOrderedMap<KeyValueRecord>();
  private sum = new HashSum();
  private readonly history = new ChangeHistory();
  private values = this.newSlabs();
  private bytes = 0;

  /** Number of keys. */
  get size(): number {
    return this.records.size;
  }

  /** Bytes of all values. */
  get valueBytes(): number {
    return this.bytes;
  }

  /** Applies one command. Never throws: an entry that is no command is `committed` and changes nothing. */
  apply(entry: AppliedEntry): Outcome {
    let command: KeyValueCommand;
    try {
      command = decodeCommand(entry.data);
    } catch (error) {
      if (isDwError(error, 'frame-malformed')) return COMMITTED;
      throw error;
    }
    return this.write(command, entry.index);
  }

  /** A key's record, or undefined. */
  get(key: string): KeyValueRecord | undefined {
    return this.records.get(key);
  }

  /** Up to `limit` keys that begin with `prefix` and come after `after`, in key order. */
  list(prefix: string, after: string | undefined, limit: number): { key: string; version: number }[] {
    return this.records.page(prefix, after, limit).map(([key, record]) => ({ key, version: record.version }));
  }

  /**
   * Changes after a version of keys with this prefix, oldest first, as far back as this replica keeps them.
   * @param applied Index up to which entries were applied.
   */
  changesAfter(version: number, prefix: string, applied: number, limit: number): ChangesAfter {
    return this.history.after(version, prefix, applied, limit);
  }

  /** Hash of the whole state as of an applied index: equal on replicas that have applied the same entries. */
  stateHash(appliedIndex: number): string {
    return formatHash(this.sum, appliedIndex);
  }

  /**
   * The whole state as bytes. What is written is the state at the time of the call, however long the chunks take to
   * be pulled and whatever is applied meanwhile.
   */
  snapshot(memory: ChunkMemory = 'own'): Iterable<Uint8Array> {
    const view: OrderedView<KeyValueRecord> = this.records.view();
    return writeSnapshot(view, { a: this.sum.a, b: this.sum.b }, memory);
  }

  /** Replaces the state at once. For a large one use {@link beginRestore}, which can pause between chunks. */
  restore(chunks: Iterable<Uint8Array>, index = 0): void {
    const restorer = this.beginRestore(index);
    for (const chunk of chunks) restorer.push(chunk);
    restorer.finish();
  }

  /**
   * Builds another state beside this one, chunk by chunk; `finish` checks it and puts it in this one's place.
   * @throws DwError `snapshot-damaged`, and this state is as it was.
   */
  beginRestore(index = 0): { push(chunk: Uint8Array): void; finish(): void } {
    const next = new KeyValueState();
    const restorer = new SnapshotRestorer((key, value, version) => {
      const record = new KeyValueRecord(next.values.hold(key, value), version, contentOf(value));
      if (!next.records.append(key, record)) return false;
      next.account(key, undefined, record);
      return true;
    });
    return {
      push: (chunk) => restorer.push(chunk),
      finish: () => {
        restorer.finish(next.records.size, next.sum);
        this.records = next.records;
        this.sum = next.sum;
        this.bytes = next.bytes;
        this.values = this.newSlabs();
        this.history.reset(index);
      },
    };
  }

  private write(command: KeyValueCommand, index: number): Outcome {
    // Hot path: a plain put looks its key up once, where it is written.
    if (command.op === 'put' && command.condition === undefined && this.records.size < MAX_KEYS_PER_GROUP) {
      return this.put(command.key, command.value, index);
    }
    const current = this.records.get(command.key);
    if (!holds(command.condition, current?.version)) {
      return { status: 'version-mismatch', currentVersion: current?.version };
    }
    if (command.op === 'delete') {
      if (current !== undefined) {
        this.records.delete(command.key);
        this.account(command.key, current, undefined);
        this.history.push(index, command.key, undefined);
      }
      return { status: 'deleted', version: index, existed: current !== undefined };
    }
    if (current === undefined && this.records.size >= MAX_KEYS_PER_GROUP) return { status: 'store-full' };
    return this.put(command.key, command.value, index);
  }

  private put(given: string, value: Uint8Array, index: number): Outcome {
    // First, since it may move the value that is there now.
    this.values.makeRoom(value.length);
    const cell = this.records.find(given);
    // What lives on names the key as the map has it: the one that came with the entry goes with the entry.
    const key = cell?.key ?? given;
    const record = new KeyValueRecord(this.values.place(key, value), index, contentOf(value));
    const replaced = cell?.value;
    if (cell === undefined) this.records.add(key, record);
    else this.records.replace(cell, record);
    this.account(key, replaced, record);
    this.history.push(index, key, record);
    return { status: 'written', version: index };
  }

  private newSlabs(): ValueSlabs {
    return new ValueSlabs((key, from) => this.moveValue(key, from));
  }

  /** A slab is cleared: the value of this key gets another place if it is there. The state stays as it is. */
  private moveValue(key: string, from: Slab): void {
    const record = this.records.get(key);
    if (record?.slab !== from) return;
    const { version, content } = record;
    this.records.set(key, new KeyValueRecord(this.values.hold(key, record.value), version, content));
    this.values.release(record);
  }

  private account(key: string, removed: KeyValueRecord | undefined, added: KeyValueRecord | undefined): void {
    const named = hashName(RECORD, key);
    if (removed !== undefined) {
      this.sum.subtractRecord(named, removed.version, removed.content);
      this.bytes -= removed.length;
      this.values.release(removed);
    }
    if (added !== undefined) {
      this.sum.addRecord(named, added.version, added.content);
      this.bytes += added.length;
    }
  }
}

function holds(condition: WriteCondition, version: number | undefined): boolean {
  if (condition === undefined) return true;
  return condition === 'absent' ? version === undefined : version === condition;
}

function contentOf(value: Uint8Array): number {
  return crc32(value) | 0;
}
