// On whose behalf the bus is used: the host itself, or one plugin through its scoped bus. Holds all that the owner
// has on the bus, so that it can be taken away whole. The bus knows an owner only while that has something on it, so
// that an owner which is merely forgotten leaves nothing behind.

/** Runs `action` in the owner's context (such as `AsyncLocalStorage.run`) and gives back what it returns. */
export type RunInContext = <T>(action: () => T) => T;

/** Something of an owner that can be ended: a subscription, a responder, a request or a wait. */
export interface Endable {
  /** Ends it. Promises that hang on it reject with `reason`. */
  end(reason: unknown): void;
}

/** One user of the bus. */
export class BusOwner {
  private readonly held = new Set<Endable>();
  private endReason: unknown = undefined;

  /** @param holders the owners that hold something; this one comes and goes there by itself. */
  constructor(
    readonly sender: string,
    readonly runInContext: RunInContext | undefined,
    private readonly holders: Set<BusOwner>,
  ) {}

  /** Why it was ended; undefined while it is not. */
  get ended(): unknown {
    return this.endReason;
  }

  /** How much it holds. */
  get size(): number {
    return this.held.size;
  }

  hold(endable: Endable): void {
    this.held.add(endable);
    this.holders.add(this);
  }

  release(endable: Endable): void {
    this.held.delete(endable);
    if (this.held.size === 0) this.holders.delete(this);
  }

  /** Ends all that it holds, latest first. What is asked of it afterwards is refused with `reason`. */
  end(reason: unknown): void {
    if (this.endReason !== undefined) return;
    this.endReason = reason;
    for (const endable of [...this.held].toReversed()) endable.end(reason);
    this.held.clear();
    this.holders.delete(this);
  }
}
