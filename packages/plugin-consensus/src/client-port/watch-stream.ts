// A watch at the node: the changes of keys with a prefix in one group, each once and in the order of the group's log, at
// the pace of who reads them. What is sent always says how far it reaches, so that the watch can be gone on with at any
// node: there is no change up to there that was not told.

import type { DwError } from '@datawarehouse/sdk';
import type { WatchedChanges } from '@datawarehouse/sdk/client-protocol';
import { requestAborted } from '../errors.js';

/** Changes in one event at most. */
const MAX_BATCH = 256;
/** A watcher is told how far it is at least every so many entries, so that it does not fall behind the history. */
const PROGRESS_ENTRIES = 1_000;

/** The changes of a group, as a watch reads them. */
export interface ChangeSource {
  /** Index of the last entry that the state here holds. */
  lastApplied(): number;
  /** Changes after an entry. @throws DwError `version-compacted`, or why the group stands still. */
  changesAfter(after: number, prefix: string, limit: number): WatchedChanges;
  /** Told when more was applied, or the group stands still. */
  onApplied(listener: () => void): Disposable;
  /** Why the watch must go on elsewhere; undefined while it need not. */
  refusal(): DwError | undefined;
}

/** Where a watch tells what it found. */
export interface ChangeSink {
  /** Whether the reader takes more now; if not, {@link WatchStream.pump} is to be called when it does. */
  hasRoom(): boolean;
  changed(changes: WatchedChanges): void;
  /** Nothing more comes. */
  ended(error: DwError): void;
}

/** A watch under way. */
export class WatchStream {
  private told: number | undefined;
  private listening: Disposable | undefined;
  private over = false;

  constructor(
    private readonly source: ChangeSource,
    private readonly sink: ChangeSink,
    private readonly prefix: string,
    /** The last entry that the watcher knows. */
    private after: number,
  ) {}

  /** Begins: the first event comes at once and says where the watch is, if it has nothing else to say. */
  start(): void {
    this.listening = this.source.onApplied(() => this.pump());
    this.pump();
  }

  /** Tells what there is to tell, as far as the reader takes it. */
  pump(): void {
    try {
      while (!this.over && this.sink.hasRoom() && this.step());
    } catch (error) {
      this.end(error as DwError);
    }
  }

  /** Ends the watch because nobody wants it any more. */
  stop(): void {
    this.end(requestAborted());
  }

  /** @returns whether there is more. */
  private step(): boolean {
    const refusal = this.source.refusal();
    if (refusal !== undefined) {
      this.end(refusal);
      return false;
    }
    const { changes, through } = this.source.changesAfter(this.after, this.prefix, MAX_BATCH);
    this.after = through;
    if (changes.length > 0 || this.told === undefined || through - this.told >= PROGRESS_ENTRIES) {
      this.told = through;
      this.sink.changed({ changes, through });
    }
    return through < this.source.lastApplied();
  }

  private end(error: DwError): void {
    if (this.over) return;
    this.over = true;
    this.listening?.[Symbol.dispose]();
    this.sink.ended(error);
  }
}
