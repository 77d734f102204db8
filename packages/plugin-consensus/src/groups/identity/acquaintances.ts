// Who a node's peers are. Two nodes exchange their storage ids when they meet, and each notes the other's on disk before
// it takes a Raft message from it. So whoever has ever counted on a node's vote or log knows that node's storage, and a
// node that comes back with another one is known for what it is: one that has forgotten what it promised.
//
// A node with a new storage may begin as a voter only when every other configured voter has said that it knows no other
// storage of it. Why all of them, and not a majority: let n1, n2, n3 vote, let n1 and n2 have committed a write while n3
// was cut off since the beginning, and let n2's disk be wiped. n3 has never met n2 and truly knows no other storage of
// it; n2 and n3 are a majority, and would elect without the write. Only n1 knows. Whoever is not asked may be that n1.
// The price is that a new cluster begins when all its voters have been up once.

import type { Clock, DwError, IPeerTransport, Logger } from '@datawarehouse/sdk';
import { errorMessage, isDwError } from '@datawarehouse/sdk';
import { storageOfAnother, storageSwapped } from './identity-errors.js';
import {
  IDENTITY_CHANNEL,
  decodeAcquaintance,
  decodeIntroduction,
  encodeAcquaintance,
  encodeIntroduction,
} from './identity-messages.js';
import type { IdentityRecord } from './identity-record.js';

const RETRY_MS = 500;
const REQUEST_TIMEOUT_MS = 5_000;
/** Refusals of introductions that are logged. */
const MAX_LOGGED = 20;

/** What acquaintances are made with. */
export interface AcquaintanceOptions {
  readonly transport: IPeerTransport;
  readonly record: IdentityRecord;
  readonly clock: Clock;
  readonly log: Logger;
  /** A peer knows this node, so that it takes Raft messages from it, and this node knows the peer. */
  readonly onAgreed: (peer: string) => void;
  /** A peer knows this node under another storage, or another node under this storage. */
  readonly onDenied: (peer: string, error: DwError | undefined) => void;
}

/** Introduces this node to its peers and them to it. */
export class Acquaintances {
  /** Peers whose storage is known and was confirmed since they were last connected. */
  private readonly confirmed = new Set<string>();
  /** Peers that have said so of this node, since they were last connected. */
  private readonly agreed = new Set<string>();
  /** Peers that have ever said so of this node as it is now: they have it on disk, so it stays true. */
  private readonly everAgreed = new Set<string>();
  private readonly asking = new Set<string>();
  private readonly disposables: Disposable[] = [];
  private timer: { cancel(): void } | undefined;
  private logged = 0;
  private stopped = false;

  constructor(private readonly options: AcquaintanceOptions) {}

  /** Begins to introduce itself and to listen. */
  start(): void {
    const { transport, clock } = this.options;
    this.disposables.push(
      transport.handle(IDENTITY_CHANNEL, { onRequest: (from, payload) => this.hear(from, payload) }),
      transport.onPeerStateChanged((peer, state) => {
        if (state === 'connected') {
          this.introduce(peer);
          return;
        }
        // It may come back as another process on another disk.
        this.confirmed.delete(peer);
        this.agreed.delete(peer);
      }),
    );
    this.timer = clock.setInterval(() => this.introduceToAll(), RETRY_MS);
    this.introduceToAll();
  }

  stop(): void {
    this.stopped = true;
    this.timer?.cancel();
    for (const disposable of this.disposables.splice(0)) disposable[Symbol.dispose]();
  }

  /** Whether Raft messages of a peer may be taken. Hot path. */
  accepts(peer: string): boolean {
    return this.confirmed.has(peer);
  }

  /** Whether the peer takes Raft messages of this node now. */
  agrees(peer: string): boolean {
    return this.agreed.has(peer);
  }

  /** Whether the peer has ever said, in this life, that it knows no other storage of this node. */
  knownTo(peer: string): boolean {
    return this.everAgreed.has(peer);
  }

  /** Introduces this node again, because what it is has changed. */
  again(): void {
    this.agreed.clear();
    this.everAgreed.clear();
    this.introduceToAll();
  }

  private introduceToAll(): void {
    for (const { id, state } of this.options.transport.peers()) {
      if (state === 'connected' && !this.agreed.has(id)) this.introduce(id);
    }
  }

  private introduce(peer: string): void {
    if (this.stopped || this.asking.has(peer)) return;
    this.asking.add(peer);
    this.ask(peer).then(
      () => this.asking.delete(peer),
      (error: unknown) => {
        this.asking.delete(peer);
        this.note(peer, error, 'could not introduce this node to a peer; it is tried again');
      },
    );
  }

  private async ask(peer: string): Promise<void> {
    const { transport, record } = this.options;
    const returning = record.start === 'returning';
    const introduction = encodeIntroduction({ storageId: record.storageId, returning });
    let answer: Buffer;
    try {
      answer = await transport.request(peer, IDENTITY_CHANNEL, introduction, {
        timeoutMs: REQUEST_TIMEOUT_MS,
      });
    } catch (error) {
      // A peer that says that this node's storage is its own is a party to the quarrel, and the others decide it.
      const denied = isDwError(error, 'storage-of-another-node') && error.details?.['owner'] !== peer;
      if (denied) this.options.onDenied(peer, error);
      throw error;
    }
    const { storageId, agreed } = decodeAcquaintance(answer);
    // Decided anew meanwhile: what was asked is not what is to be known.
    if (this.stopped || returning !== (record.start === 'returning')) return;
    if (!agreed) {
      this.options.onDenied(peer, undefined);
      return;
    }
    if (await this.know(peer, storageId, false)) {
      this.agreed.add(peer);
      this.everAgreed.add(peer);
      this.options.onAgreed(peer);
    }
  }

  private async hear(from: string, payload: Buffer): Promise<Uint8Array> {
    const { storageId, returning } = decodeIntroduction(payload);
    const own = this.options.record.storageId;
    try {
      return encodeAcquaintance({ storageId: own, agreed: await this.know(from, storageId, returning) });
    } catch (error) {
      this.note(from, error, 'refused the introduction of a peer');
      throw error;
    }
  }

  /** @returns whether the peer is known under this storage id, and no other, from now on. */
  private async know(peer: string, storageId: string, returning: boolean): Promise<boolean> {
    const { record } = this.options;
    const owner = record.ownerOf(storageId);
    if (owner !== undefined && owner !== peer) {
      this.confirmed.delete(peer);
      throw storageOfAnother(peer, owner);
    }
    const known = record.peer(peer);
    // One that has noted its loss on its own disk will not act on what it forgot: it may be known anew.
    if (known !== undefined && known !== storageId && !returning) {
      this.confirmed.delete(peer);
      return false;
    }
    await record.remember(peer, storageId);
    this.confirmed.add(peer);
    return true;
  }

  private note(peer: string, error: unknown, what: string): void {
    if (isDwError(error, 'peer-unreachable') || isDwError(error, 'peer-disconnected')) return;
    if (++this.logged <= MAX_LOGGED) this.options.log.warn({ peer, reason: errorMessage(error) }, what);
  }
}

/** The error of a node whose storage is not the one that a peer knows. */
export function deniedBy(nodeId: string, peer: string, cause: DwError | undefined): DwError {
  const why = cause?.message ?? `node ${peer} knows this node under another storage`;
  return storageSwapped(nodeId, why);
}
