// Where the other nodes listen for clients. Each node tells its peers when they meet; what it was told last counts.

import type { IPeerTransport, Logger } from '@datawarehouse/sdk';

/** Channel on which nodes tell where they listen for clients. */
export const CLIENT_ADDRESS_CHANNEL = 'dw.client-address';

const MAX_NOTE_BYTES = 1_024;
const ADDRESS = /^(\[[0-9A-Fa-f:.]{2,64}\]|[^:[\]/\s]{1,255}):(\d{1,5})$/;

/** The address to give away: the host that others reach, where this node listens on all of its addresses. */
export function advertisedAddress(host: string, port: number, peerEndpoint: string | undefined): string {
  const isWildcard = host === '0.0.0.0' || host === '::';
  const known = peerEndpoint?.slice(0, peerEndpoint.lastIndexOf(':'));
  if (isWildcard && known !== undefined && known !== '') return `${known}:${port}`;
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** The client addresses of a cluster, as far as they are known here. One for each node at most. */
export class ClientAddresses {
  private readonly known = new Map<string, string>();
  private readonly disposables: Disposable[];

  constructor(
    private readonly transport: IPeerTransport,
    private readonly own: string,
    private readonly log: Logger,
    private readonly onChanged: () => void,
  ) {
    this.known.set(transport.localId, own);
    this.disposables = [
      transport.handle(CLIENT_ADDRESS_CHANNEL, { onMessage: (from, note) => this.told(from, note) }),
      transport.onPeerStateChanged((peer, state) => {
        if (state === 'connected') this.tell(peer, true);
      }),
    ];
    for (const { id, state } of transport.peers()) if (state === 'connected') this.tell(id, true);
  }

  /** `host:port` by node id. */
  all(): Readonly<Record<string, string>> {
    return Object.fromEntries(this.known);
  }

  /** Hears and tells nothing more. */
  stop(): void {
    for (const disposable of this.disposables.splice(0)) disposable[Symbol.dispose]();
  }

  /** A note that is lost is told again when the peer asks or comes back. */
  private tell(peer: string, ask: boolean): void {
    this.transport.send(
      peer,
      CLIENT_ADDRESS_CHANNEL,
      Buffer.from(JSON.stringify({ address: this.own, ask })),
      'control',
    );
  }

  private told(from: string, note: Buffer): void {
    const told = readNote(note);
    if (told === undefined) {
      this.log.warn({ peer: from }, 'a peer told a client address that is none');
      return;
    }
    if (told.ask) this.tell(from, false);
    if (this.known.get(from) === told.address) return;
    this.known.set(from, told.address);
    this.onChanged();
  }
}

function readNote(note: Buffer): { readonly address: string; readonly ask: boolean } | undefined {
  if (note.length > MAX_NOTE_BYTES) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(note.toString('utf8'));
  } catch {
    return undefined; // Not JSON: not a note. The caller says so.
  }
  const { address, ask } = (value ?? {}) as { readonly address?: unknown; readonly ask?: unknown };
  if (typeof address !== 'string' || !ADDRESS.test(address)) return undefined;
  return { address, ask: ask === true };
}
