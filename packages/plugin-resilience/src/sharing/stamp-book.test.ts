import { describe, expect, it } from 'vitest';
import { MAX_LAMPORT } from './circuit-notice.js';
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
    book.accept(a, 7, 'n2', true);
    expect(book.next(a, false)).toMatchObject({ lamport: 8, node: 'n1' });
    expect(book.next(b, false)?.lamport).toBe(1);
  });

  it('are later than any that a peer had when it connected, so that a node that was restarted is heard', () => {
    const book = new StampBook('n1');
    book.raise(40);
    expect(book.next(a, true)?.lamport).toBe(41);
    // What others say is judged by what is known of that breaker alone.
    expect(book.isNews(b, 1, 'n2')).toBe(true);
  });

  it('are forgotten of closed breakers only, and their successors are later', () => {
    const book = new StampBook('n1', 2);
    book.accept(a, 5, 'n2', true);
    book.accept(b, 9, 'n2', false);
    expect(book.accept(c, 1, 'n2', true)).toBe(true);
    expect(book.find(b)).toBeUndefined();
    expect(book.find(a)?.lamport).toBe(5);
    expect(book.size).toBe(2);
    // All are open now: no room.
    expect(book.accept(b, 10, 'n2', true)).toBe(false);
    expect(book.next(b, true)?.lamport).toBe(10);
    expect(book.next(b, true)?.lamport).toBe(11);
    expect(book.size).toBe(2);
    book.mark(a, false);
    expect(book.accept(b, 20, 'n2', true)).toBe(true);
  });

  it('end where there are no higher ones', () => {
    const book = new StampBook('n1');
    book.raise(MAX_LAMPORT);
    expect(book.next(a, true)).toBeUndefined();
  });

  it('tell what is open by a change of this node', () => {
    const book = new StampBook('n1');
    book.next(a, true);
    book.next(b, false);
    book.accept(c, 3, 'n2', true);
    expect([...book.ownOpen()].map(({ key }) => key)).toEqual(['a']);
  });
});
