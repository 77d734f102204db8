// Which connection of a peer's pool a bulk message goes on. Pure.
// One-way messages of a channel always take the same slot while the pool keeps its size, so that they arrive in order.
// Requests have no order to keep: they take an idle connection, or open one more, or join the least busy.

/** What a slot looks like to the policy: bytes and requests under way, or undefined while it has no connection. */
export interface SlotLoad {
  readonly queuedBytes: number;
  readonly pendingRequests: number;
}

/** The slot of a channel's one-way messages, from 0 to `slots` - 1. */
export function slotOfChannel(channel: string, slots: number): number {
  // FNV-1a: short, and spreads names that differ in one character.
  let hash = 0x811c9dc5;
  for (let i = 0; i < channel.length; i++) hash = Math.imul(hash ^ channel.charCodeAt(i), 0x01000193);
  return (hash >>> 0) % slots;
}

/** The slot for one more request. */
export function slotOfRequest(slots: readonly (SlotLoad | undefined)[]): number {
  let unopened = -1;
  let best = -1;
  let bestLoad = Infinity;
  for (const [index, slot] of slots.entries()) {
    if (slot === undefined) {
      if (unopened < 0) unopened = index;
      continue;
    }
    const load = slot.queuedBytes + slot.pendingRequests;
    if (load === 0) return index;
    if (load < bestLoad) [best, bestLoad] = [index, load];
  }
  return unopened >= 0 ? unopened : best;
}
