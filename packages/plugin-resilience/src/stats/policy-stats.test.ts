import { describe, expect, it } from 'vitest';
import { Held, gate, plain, testService } from '../testing/policy.test.kit.js';

describe('the statistics of a policy', () => {
  it('count each call once, by how it ended, and the latency of those that ran to an end', async () => {
    const { service, clock } = testService();
    service.set({ name: 'db', strategies: [plain('circuit-breaker'), gate(2)] });
    const held = new Held<string>();
    const succeeding = service.execute('db', held.action);
    clock.advance(40);
    expect(service.stats()[0]).toMatchObject({ calls: 1, inFlight: 1, samples: 0 });
    held.end('done');
    await succeeding;
    await service.execute('db', () => Promise.reject(new Error('failed'))).catch(() => {});
    service.isolate('db', '', 'maintenance');
    await service.execute('db', () => 1).catch(() => {});
    service.reset('db', '');
    await service.execute('db', () => 1, { signal: AbortSignal.abort() }).catch(() => {});
    const [stats] = service.stats();
    expect(stats).toMatchObject({
      name: 'db',
      calls: 4,
      successes: 1,
      failures: 1,
      timeouts: 0,
      rejections: 1,
      cancelled: 1,
      retries: 0,
      inFlight: 0,
      keys: 1,
      samples: 2,
      strategies: [
        { type: 'circuit-breaker', name: 'circuit-breaker', counters: { open: 0 } },
        { type: 'bulkhead', name: 'bulkhead', counters: {} },
      ],
    });
    expect(stats?.p99Ms).toBeGreaterThan(38);
    expect(stats?.p99Ms).toBeLessThan(42);
  });
});
