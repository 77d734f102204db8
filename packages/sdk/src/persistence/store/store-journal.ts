// The store's side of its log: operations go in as one record, and the index changes in the same moment, so that the
// order of calls is the order of versions, of records, and of what conditions are checked against. What is not on
// disk yet is known by path, so that nobody is shown a change that a crash could take back.

import type { DwError } from '../../errors/index.js';
import { isDwError } from '../../errors/index.js';
import type { IAppendLog } from '../append-log.js';
import { storeBusy, storeClosed, storeFailed } from '../errors.js';
import type { RecordedOperation } from './store-record.js';
import { decodeStoreRecord, encodeStoreRecord } from './store-record.js';
import { ValueIndex } from './value-index.js';

/** An operation that is to be recorded. */
export type NewOperation = Omit<RecordedOperation, 'offset' | 'length'> & { readonly data: Uint8Array };

/** The log of a store, its index, and what is under way between them. */
export class StoreJournal {
  readonly index = new ValueIndex();
  /** The last version number given out. */
  lastVersion = 0;
  /** Last change of each path that is not on disk yet. Bounded by what the log lets wait. */
  readonly #underWay = new Map<string, Promise<void>>();
  #failure: DwError | undefined;
  #closed = false;

  constructor(
    readonly log: IAppendLog,
    private readonly onFailed: ((error: DwError) => void) | undefined,
  ) {}

  /** Builds the index from the log. @throws DwError `store-damaged`, `log-damaged`. */
  async replay(): Promise<void> {
    for await (const { position, data } of this.log.scan()) {
      const record = decodeStoreRecord(position, data);
      this.lastVersion = Math.max(this.lastVersion, record.lastVersion);
      for (const operation of record.operations) this.index.apply(operation, position);
    }
    this.index.verify();
  }

  /** Why nothing is accepted any more, if so. @throws DwError `store-failed`, `store-closed`. */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#closed) throw storeClosed();
  }

  /** Refuses everything from now on, as closed. */
  shut(): void {
    this.#closed = true;
  }

  /** Refuses everything from now on, as failed. @returns the failure, which is the first there was. */
  fail(cause: unknown): DwError {
    if (this.#failure === undefined) {
      const failure = storeFailed(cause);
      this.#failure = failure;
      const listener = this.onFailed;
      if (listener !== undefined) queueMicrotask(() => listener(failure));
    }
    return this.#failure;
  }

  /**
   * Records operations as one step and changes the index at once. The caller has checked that they are allowed, and
   * does not change the data any more.
   * @returns a promise that resolves when they are on disk.
   * @throws DwError `store-busy` (nothing has changed), `store-failed`.
   */
  record(operations: readonly NewOperation[]): Promise<void> {
    const position = this.log.nextPosition;
    const { head, operations: placed } = encodeStoreRecord(
      this.lastVersion,
      operations.map(({ data, ...rest }) => ({ ...rest, length: data.byteLength })),
    );
    const appended = this.log.append(head, ...operations.map(({ data }) => data));
    const done = appended.then(
      () => undefined,
      (error: unknown) => {
        throw isDwError(error, 'log-full') ? storeBusy(error) : this.fail(error);
      },
    );
    // The log refused it at once: it took no position.
    if (this.log.nextPosition === position) return done;
    for (const operation of placed) {
      this.index.apply(operation, position);
      // A move changes where bytes are, not what they are: there is nothing to wait for.
      if (operation.type !== 'move') this.#track(operation.path, done);
    }
    return done;
  }

  /** Resolves when the last change of a path is on disk. @throws DwError `store-failed`. */
  async settled(path: string): Promise<void> {
    await this.#underWay.get(path);
    this.check();
  }

  /** As {@link settled}, for all paths. */
  async allSettled(): Promise<void> {
    try {
      if (this.log.durablePosition < this.log.nextPosition) await this.log.barrier();
    } catch (error) {
      throw this.fail(error);
    }
    this.check();
  }

  #track(path: string, done: Promise<void>): void {
    this.#underWay.set(path, done);
    const forget = (): void => {
      if (this.#underWay.get(path) === done) this.#underWay.delete(path);
    };
    // Who made the change hears of its failure; here only the note about it goes.
    done.then(forget, forget);
  }
}
