import { describe, expect, it } from 'vitest';
import { IncomingChannels, MAX_CHANNELS, OutgoingChannels } from './channel-names.js';

describe('channel names', () => {
  it('are numbered the same on both sides', () => {
    const [out, incoming] = [new OutgoingChannels(), new IncomingChannels()];
    for (const name of ['raft', 'replication/wal', 'a'.repeat(64)]) {
      expect(incoming.bind(out.bind(name), Buffer.from(name))).toBe(true);
      expect(incoming.nameOf(out.numberOf(name) ?? 0)).toBe(name);
    }
  });

  it.each(['', 'with space', 'ünicode', 'line\nbreak', 'a'.repeat(65)])('refuse %j', (name) => {
    expect(() => new OutgoingChannels().bind(name)).toThrowError(
      expect.objectContaining({ code: 'channel-invalid' }),
    );
    expect(new IncomingChannels().bind(1, Buffer.from(name))).toBe(false);
  });

  it('refuse a number that is not the next: the table has no holes and nothing is renamed', () => {
    const incoming = new IncomingChannels();
    expect(incoming.bind(2, Buffer.from('a'))).toBe(false);
    expect(incoming.bind(0, Buffer.from('a'))).toBe(false);
    expect(incoming.bind(1, Buffer.from('a'))).toBe(true);
    expect(incoming.bind(1, Buffer.from('b'))).toBe(false);
    expect(incoming.nameOf(1)).toBe('a');
  });

  it('are bounded on both sides', () => {
    const [out, incoming] = [new OutgoingChannels(), new IncomingChannels()];
    for (let i = 1; i <= MAX_CHANNELS; i++)
      expect(incoming.bind(out.bind(`c${i}`), Buffer.from(`c${i}`))).toBe(true);
    expect(() => out.bind('more')).toThrowError(expect.objectContaining({ code: 'channel-limit' }));
    expect(incoming.bind(MAX_CHANNELS + 1, Buffer.from('more'))).toBe(false);
  });
});
