// What goes out to a peer, and what is held back until it is known whether it is needed.

import type { IPeerTransport } from '@datawarehouse/sdk';
import { describe, expect, it } from 'vitest';
import { makeMessage } from '../raft/message.js';
import type { Entry, Message } from '../raft/types.js';
import { decodeFrame } from './message-codec.js';
import { PeerOutbox } from './peer-outbox.js';

function setUp(): { outbox: PeerOutbox; sent: () => string[] } {
  const frames: string[] = [];
  const transport = {
    send(peer: string, _channel: string, parts: readonly Uint8Array[]) {
      for (const { groupId, message } of decodeFrame(Buffer.concat(parts), 'n1', peer)) {
        frames.push(`${peer} ${groupId} ${message.type} ${message.entries.length} ${message.commit}`);
      }
      return true;
    },
  } as unknown as IPeerTransport;
  return { outbox: new PeerOutbox(transport, () => {}), sent: () => frames.splice(0) };
}

const entry: Entry = { term: 1, index: 2, type: 'normal', data: new Uint8Array(3) };
const append = (commit: number, entries: readonly Entry[] = [], to = 'n2'): Message =>
  makeMessage({ type: 'append', from: 'n1', to, term: 1, index: 1, logTerm: 1, commit, entries });

describe('PeerOutbox', () => {
  it('sends appends that carry entries, and everything else, with the turn', () => {
    const { outbox, sent } = setUp();
    outbox.add('g', append(1, [entry]));
    outbox.add('g', makeMessage({ type: 'heartbeat', from: 'n1', to: 'n2', term: 1, commit: 1 }));
    outbox.flush();
    expect(sent()).toEqual(['n2 g append 1 1', 'n2 g heartbeat 0 1']);
  });

  it('holds an append without entries back until the tick, and sends the newest one only', () => {
    const { outbox, sent } = setUp();
    outbox.add('g', append(1));
    outbox.add('g', append(2));
    outbox.add('h', append(5));
    outbox.add('g', append(7, [], 'n3'));
    outbox.flush();
    expect(sent()).toEqual([]);
    outbox.release();
    outbox.flush();
    expect(sent()).toEqual(['n2 g append 0 2', 'n2 h append 0 5', 'n3 g append 0 7']);
    outbox.release();
    outbox.flush();
    expect(sent()).toEqual([]);
  });

  it('drops it when an append with entries says the same and more', () => {
    const { outbox, sent } = setUp();
    outbox.add('g', append(1));
    outbox.add('h', append(1));
    outbox.add('g', append(2, [entry]));
    outbox.flush();
    expect(sent()).toEqual(['n2 g append 1 2']);
    outbox.release();
    outbox.flush();
    expect(sent()).toEqual(['n2 h append 0 1']);
  });
});
