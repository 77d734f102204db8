import { describe, expect, it } from 'vitest';
import { MAX_LAMPORT } from './circuit-notice.js';
import { AHEAD_PER_MS, MAX_AHEAD } from './stamp-allowance.js';
import { StampBook } from './stamp-book.js';

const a = { policy: 'p', strategy: 'circuit-breaker', key: 'a' };
const b = { ...a, key: 'b' };
const c = { ...a, key: 'c' };

describe('stamps', () => {
  it('count each breaker on its own (weakness elsewhere: one clock for all, by which news of a quiet one looked old)', () => {
    const book = new StampBook('n1');
    for (let n = 0; n < 100; n++) book.next(a, true);
    expect(book.next(b, true)?.lamport).toBe(1);
    expect(book.isNews(c, 1, 'n2')).toBe(true);
    expect(book.isNews(a, 100, 'n0')).toBe(false);
    expect(book.isNews(a, 101, 'n0')).toBe(true);
  });

  it('of one number are in the order of their nodes', () => {
    const book = new StampBook('n5');
    book.next(a, true);
    expect(book.isNews(a, 1, 'n4')).toBe(false);
    expect(book.isNews(a, 1, 'n5')).toBe(false);
    expect(book.isNews(a, 1, 'n6')).toBe(true);
  });

  it('go on after what another node said', () => {
    const book = new StampBook('n1');
    book.accept(a, 7, 'n2', true, 0);
    expect(book.next(a, false)).toMatchObject({ lamport: 8, node: 'n1' });
    expect(book.next(b, false)?.lamport).toBe(1);
  });

  it('are later than any that a peer had when it connected, so that a node that was restarted is heard', () => {
    const book = new StampBook('n1');
    book.raise(40, 0);
    expect(book.next(a, true)?.lamport).toBe(41);
    // What others say is judged by what is known of that breaker alone.
    expect(book.isNews(b, 1, 'n2')).toBe(true);
  });

  it('are forgotten of closed breakers only, and their successors are later', () => {
    const book = new StampBook('n1', 2);
    book.accept(a, 5, 'n2', true, 0);
    book.accept(b, 9, 'n2', false, 0);
    expect(book.accept(c, 1, 'n2', true, 0)).toBe('kept');
    expect(book.find(b)).toBeUndefined();
    expect(book.find(a)?.lamport).toBe(5);
    expect(book.size).toBe(2);
    // All are open now: no room.
    expect(book.accept(b, 10, 'n2', true, 0)).toBe('full');
    expect(book.next(b, true)?.lamport).toBe(10);
    expect(book.next(b, true)?.lamport).toBe(11);
    expect(book.size).toBe(2);
    book.mark(a, false);
    expect(book.accept(b, 20, 'n2', true, 0)).toBe('kept');
  });

  it('end where there are no higher ones', () => {
    const book = new StampBook('n1');
    const years = MAX_LAMPORT / AHEAD_PER_MS;
    book.raise(MAX_LAMPORT, 0);
    // Nothing that a peer may send brings a node there but its whole allowance for decades.
    expect(book.next(a, true)?.lamport).toBe(MAX_AHEAD + 1);
    for (let now = 0; book.highest < MAX_LAMPORT; now += years / 1_000_000) {
      if (now > 2 * years) throw new Error('it never gets there');
      book.raise(MAX_LAMPORT, now);
    }
    expect(book.next(a, true)).toBeUndefined();
  });

  it('that peers send push it no further than the allowance, at once and in time (weakness elsewhere: one message muted a breaker until all nodes were restarted)', () => {
    const book = new StampBook('n1');
    book.next(a, true);
    expect(book.accept(a, MAX_LAMPORT, 'n2', true, 0)).toBe('ahead');
    // It came nearer, and its own change is remembered as before.
    expect(book.highest).toBe(1 + MAX_AHEAD);
    expect(book.find(a)).toMatchObject({ lamport: 1, node: 'n1' });
    expect(book.raise(MAX_LAMPORT, 0)).toBe(false);
    expect(book.highest).toBe(1 + MAX_AHEAD);
    expect(book.accept(a, MAX_LAMPORT, 'n2', true, 1_000)).toBe('ahead');
    expect(book.highest).toBe(1 + MAX_AHEAD + 1_000 * AHEAD_PER_MS);
    // What is honest goes on.
    const own = book.next(a, false);
    expect(own?.lamport).toBe(2 + MAX_AHEAD + 1_000 * AHEAD_PER_MS);
    expect(book.accept(b, 7, 'n3', true, 1_000)).toBe('kept');
  });

  it('of a peer that is too far ahead are caught up with in steps', () => {
    const book = new StampBook('n1');
    const high = MAX_AHEAD + 5_000 * AHEAD_PER_MS;
    expect(book.raise(high, 0)).toBe(false);
    expect(book.raise(high, 4_999)).toBe(false);
    expect(book.raise(high, 5_000)).toBe(true);
    expect(book.next(a, true)?.lamport).toBe(high + 1);
  });

  it('are allowed for no more than the allowance holds, however long nothing came', () => {
    const book = new StampBook('n1');
    book.raise(1, 0);
    expect(book.raise(MAX_LAMPORT, 1e12)).toBe(false);
    expect(book.highest).toBe(1 + MAX_AHEAD);
  });

  it('tell what is open by a change of this node', () => {
    const book = new StampBook('n1');
    book.next(a, true);
    book.next(b, false);
    book.accept(c, 3, 'n2', true, 0);
    expect([...book.ownOpen()].map(({ key }) => key)).toEqual(['a']);
  });
});
