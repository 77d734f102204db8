// From whom the engine takes Raft messages. Which storage a peer has must be known before anything that it says is
// counted: one that lost its disk has forgotten what it promised.

/** Says which peers are known. */
export interface PeerGate {
  /** Whether Raft messages of a peer may be taken now. Hot path. */
  accepts(peer: string): boolean;
  /** Whether the peer takes this node's messages now, as far as it has said. */
  agrees(peer: string): boolean;
}

/** For nodes that cannot lose their storage without a test knowing it. */
export const OPEN_GATE: PeerGate = { accepts: () => true, agrees: () => true };
