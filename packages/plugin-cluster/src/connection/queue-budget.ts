// How much may wait to be sent in one lane to one peer, in messages and in bytes, over all connections of the lane
// together. Every lane also counts towards the memory of the whole transport.
// Invariant: a message is taken only while both are below their limits, so what waits never exceeds the limit by more
// than one frame (which is bounded itself).

/** Bytes that wait in all lanes of a transport. */
export interface MemoryAccount {
  bytes: number;
}

/** The bounds of a budget. */
export interface BudgetLimits {
  /** Messages that wait at most. */
  readonly messages: number;
  /** Bytes that wait at most. */
  readonly bytes: number;
  /** Bytes that wait in all lanes of the transport at most. */
  readonly totalBytes: number;
}

/** A lane that was full is announced as drained when it has fallen to this part of its limits. */
const LOW_WATER = 0.5;

/** Who waits for room. */
export interface RoomWaiter {
  readonly onRoom: () => void;
  /** There will be no room: the lane is gone. */
  readonly onLost: (error: Error) => void;
}

/** Counts what waits in one lane. */
export class QueueBudget {
  messages = 0;
  bytes = 0;
  private readonly waiters = new Set<RoomWaiter>();

  constructor(
    /** Read at each message, so that a change of limits holds at once. */
    private readonly limits: () => BudgetLimits,
    private readonly total: MemoryAccount,
  ) {}

  /** Whether one more message may be queued. */
  get hasRoom(): boolean {
    const { messages, bytes, totalBytes } = this.limits();
    return this.messages < messages && this.bytes < bytes && this.total.bytes < totalBytes;
  }

  /** How full it is: 0 is empty, 1 is full. */
  get fill(): number {
    const { messages, bytes } = this.limits();
    return Math.max(this.messages / messages, this.bytes / bytes);
  }

  /** Waiters for room now. */
  get waiting(): number {
    return this.waiters.size;
  }

  /** Counts a frame that was queued. */
  take(bytes: number): void {
    this.messages++;
    this.bytes += bytes;
    this.total.bytes += bytes;
  }

  /** Counts frames that were written or dropped. */
  release(messages: number, bytes: number): void {
    this.messages -= messages;
    this.bytes -= bytes;
    this.total.bytes -= bytes;
    if (this.waiters.size > 0) this.recheck();
  }

  /**
   * Announces room if there is some. Called at each release, and regularly, since the room may have come from another
   * lane's memory.
   */
  recheck(): void {
    if (this.waiters.size === 0 || this.fill > LOW_WATER || !this.hasRoom) return;
    for (const waiter of this.takeWaiters()) waiter.onRoom();
  }

  /** Tells all waiters that the lane is gone. */
  lose(error: Error): void {
    for (const waiter of this.takeWaiters()) waiter.onLost(error);
  }

  /** Calls the waiter once, when there is room again. */
  awaitRoom(waiter: RoomWaiter): Disposable {
    this.waiters.add(waiter);
    return { [Symbol.dispose]: () => void this.waiters.delete(waiter) };
  }

  private takeWaiters(): readonly RoomWaiter[] {
    const waiters = [...this.waiters];
    this.waiters.clear();
    return waiters;
  }
}
