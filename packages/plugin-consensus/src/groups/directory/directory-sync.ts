// Brings the newest directory to nodes that hold no replica of its group. Who has a newer one tells its version to its
// peers, one small message each; who has an older one asks for it. Messages get lost, so everybody also asks one peer a
// second, in turn. One request is under way at a time, and what it brings is checked as anything from a peer is.

import type { Clock, IPeerTransport, Logger, TimerHandle } from '@datawarehouse/sdk';
import { errorMessage, isDwError, nextTurn } from '@datawarehouse/sdk';
import { ByteReader } from '../../codec/byte-reader.js';
import { ByteWriter } from '../../codec/byte-writer.js';
import { DirectoryDecoder, encodeDirectory } from './directory-codec.js';
import type { DirectoryCopy } from './directory-copy.js';
import type { DirectoryView } from './directory-types.js';

/** Channel of versions and directories. */
export const DIRECTORY_CHANNEL = 'dw.directory';
const ASK_EVERY_MS = 1_000;
/** Bytes that are decoded in one turn. */
const SLICE_BYTES = 64 * 1_024;
const WHAT = 'a version of the directory';

/** Keeps a copy of the directory up to date. */
export class DirectorySync {
  private readonly disposables: Disposable[];
  private readonly timer: TimerHandle;
  private asking = false;
  private turn = 0;
  private encoded: { readonly view: DirectoryView; readonly bytes: readonly Uint8Array[] } | undefined;
  private stopped = false;

  constructor(
    private readonly transport: IPeerTransport,
    private readonly clock: Clock,
    private readonly log: Logger,
    private readonly copy: Pick<DirectoryCopy, 'view' | 'offer'>,
  ) {
    this.disposables = [
      transport.handle(DIRECTORY_CHANNEL, {
        onMessage: (from, payload) => this.heard(from, payload),
        onRequest: async (_from, payload) => this.answer(payload),
      }),
      transport.onPeerStateChanged((peer, state) => {
        if (state === 'connected') this.tell(peer);
      }),
    ];
    this.timer = clock.setInterval(() => this.askNext(), ASK_EVERY_MS);
  }

  /** Tells every peer which version is here. What does not get through is asked for. */
  tellAll(): void {
    for (const { id, state } of this.transport.peers()) if (state === 'connected') this.tell(id);
  }

  stop(): void {
    this.stopped = true;
    this.timer.cancel();
    for (const disposable of this.disposables.splice(0)) disposable[Symbol.dispose]();
  }

  private tell(peer: string): void {
    const { version } = this.copy.view;
    if (version > 0) this.transport.send(peer, DIRECTORY_CHANNEL, encodeVersion(version));
  }

  private heard(from: string, payload: Buffer): void {
    let version: number;
    try {
      version = decodeVersion(payload);
    } catch (error) {
      if (!isDwError(error, 'frame-malformed')) throw error;
      this.log.warn({ peer: from, reason: error.message }, 'refused a version of the directory');
      return;
    }
    if (version > this.copy.view.version) this.ask(from);
  }

  /** The directory, if it is newer than what who asks has; else nothing. @throws DwError `frame-malformed`. */
  private answer(payload: Buffer): readonly Uint8Array[] {
    const { view } = this.copy;
    if (view.version <= decodeVersion(payload)) return [];
    if (this.encoded?.view !== view) this.encoded = { view, bytes: [...encodeDirectory(view)] };
    return this.encoded.bytes;
  }

  private askNext(): void {
    const peers = this.transport.peers().filter(({ state }) => state === 'connected');
    const peer = peers[this.turn++ % Math.max(1, peers.length)];
    if (peer !== undefined) this.ask(peer.id);
  }

  private ask(peer: string): void {
    if (this.asking || this.stopped) return;
    this.asking = true;
    this.fetch(peer)
      .catch((error: unknown) => {
        // A peer that is going, or one that answers nonsense: another is asked in a second.
        const fields = { peer, reason: errorMessage(error) };
        if (isDwError(error, 'frame-malformed')) this.log.warn(fields, 'refused a directory from a peer');
        else this.log.debug(fields, 'could not get the directory from a peer');
      })
      .finally(() => {
        this.asking = false;
      });
  }

  private async fetch(peer: string): Promise<void> {
    const payload = encodeVersion(this.copy.view.version);
    const bytes = await this.transport.request(peer, DIRECTORY_CHANNEL, payload, { lane: 'bulk' });
    if (bytes.length === 0) return;
    const decoder = new DirectoryDecoder();
    for (let at = 0; at < bytes.length; at += SLICE_BYTES) {
      if (at > 0) await nextTurn(this.clock);
      decoder.push(bytes.subarray(at, at + SLICE_BYTES));
    }
    const view = decoder.finish();
    if (!this.stopped && this.copy.offer(view)) {
      this.log.info({ peer, version: view.version }, 'learned a newer directory of the cluster');
    }
  }
}

function encodeVersion(version: number): Buffer {
  const writer = new ByteWriter(8);
  writer.varint(version);
  return writer.finish();
}

function decodeVersion(payload: Buffer): number {
  const reader = new ByteReader(payload, WHAT);
  const version = reader.varint();
  reader.end();
  return version;
}
