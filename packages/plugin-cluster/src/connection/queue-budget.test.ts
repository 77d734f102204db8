import { describe, expect, it } from 'vitest';
import { QueueBudget } from './queue-budget.js';

function budget(limits = { messages: 4, bytes: 100, totalBytes: 1_000 }, total = { bytes: 0 }) {
  return { budget: new QueueBudget(() => limits, total), limits, total };
}

function waiter() {
  const told: string[] = [];
  return {
    told,
    onRoom: () => void told.push('room'),
    onLost: (error: Error) => void told.push(error.message),
  };
}

describe('a queue budget', () => {
  it('is full at its messages, its bytes, or the memory of all lanes', () => {
    const messages = budget();
    for (let i = 0; i < 4; i++) messages.budget.take(1);
    const bytes = budget();
    bytes.budget.take(100);
    const memory = budget(undefined, { bytes: 1_000 });
    const roomy = budget();
    roomy.budget.take(99);
    expect([messages, bytes, memory, roomy].map((each) => each.budget.hasRoom)).toEqual([
      false,
      false,
      false,
      true,
    ]);
  });

  it('announces room once, and only when half of it is free', () => {
    const { budget: lane } = budget();
    for (let i = 0; i < 4; i++) lane.take(20);
    const waiting = waiter();
    lane.awaitRoom(waiting);
    lane.release(1, 20);
    expect(waiting.told).toEqual([]);
    lane.release(1, 20);
    lane.release(1, 20);
    expect(waiting.told).toEqual(['room']);
  });

  it('announces room that another lane has made when it looks again', () => {
    const { budget: lane, total } = budget(undefined, { bytes: 1_000 });
    const waiting = waiter();
    lane.awaitRoom(waiting);
    lane.recheck();
    total.bytes = 0;
    lane.recheck();
    expect(waiting.told).toEqual(['room']);
  });

  it('tells those who wait when the lane is lost, but not those who have left', () => {
    const { budget: lane } = budget();
    const [stays, leaves] = [waiter(), waiter()];
    lane.awaitRoom(stays);
    lane.awaitRoom(leaves)[Symbol.dispose]();
    lane.lose(new Error('gone'));
    expect([stays.told, leaves.told]).toEqual([['gone'], []]);
    expect(lane.waiting).toBe(0);
  });

  it('judges by the limits as they are now', () => {
    const limits = { messages: 1, bytes: 100, totalBytes: 1_000 };
    const { budget: lane } = budget(limits);
    lane.take(1);
    expect(lane.hasRoom).toBe(false);
    limits.messages = 2;
    expect(lane.hasRoom).toBe(true);
  });
});
