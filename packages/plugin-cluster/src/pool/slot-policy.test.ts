import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { slotOfChannel, slotOfRequest } from './slot-policy.js';

describe('slots of one-way messages', () => {
  it('are the same for the same channel, and exist', () => {
    fc.assert(
      fc.property(fc.string(), fc.integer({ min: 1, max: 15 }), (channel, slots) => {
        const slot = slotOfChannel(channel, slots);
        expect(slot).toBe(slotOfChannel(channel, slots));
        expect(slot).toBeGreaterThanOrEqual(0);
        expect(slot).toBeLessThan(slots);
      }),
    );
  });

  it('spread over different channels', () => {
    const used = new Set(Array.from({ length: 30 }, (_, i) => slotOfChannel(`channel-${i}`, 3)));
    expect(used.size).toBe(3);
  });
});

describe('slots of requests', () => {
  const idle = { queuedBytes: 0, pendingRequests: 0 };
  const busy = { queuedBytes: 500, pendingRequests: 1 };
  const busier = { queuedBytes: 1_000, pendingRequests: 2 };

  it('prefer an idle connection to opening one', () => {
    expect(slotOfRequest([undefined, busy, idle])).toBe(2);
  });

  it('open one when all are busy', () => {
    expect(slotOfRequest([busy, undefined, undefined])).toBe(1);
  });

  it('join the least busy when none is left to open', () => {
    expect(slotOfRequest([busier, busy, busier])).toBe(1);
  });
});
