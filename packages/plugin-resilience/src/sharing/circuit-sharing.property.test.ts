// Sharing under random schedules: calls, orders, lost connections, and messages that come late.

import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import type { Node } from './sharing.test.kit.js';
import { cluster, stopNodes } from './sharing.test.kit.js';

afterEach(stopNodes);

describe('under random schedules of three nodes', () => {
  const node = fc.nat(2);
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ does: fc.constant('fail' as const), node }) },
    { weight: 2, arbitrary: fc.record({ does: fc.constant('succeed' as const), node }) },
    { weight: 1, arbitrary: fc.record({ does: fc.constant('isolate' as const), node }) },
    { weight: 1, arbitrary: fc.record({ does: fc.constant('reset' as const), node }) },
    { weight: 3, arbitrary: fc.record({ does: fc.constant('deliver' as const), count: fc.nat(6) }) },
    {
      weight: 2,
      arbitrary: fc.record({ does: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 1_200 }) }),
    },
    { weight: 1, arbitrary: fc.record({ does: fc.constant('cut' as const), node, other: node }) },
    { weight: 1, arbitrary: fc.record({ does: fc.constant('heal' as const) }) },
  );

  it('each change is told to each peer once at most, an isolated breaker is nobody else’s, and all comes to rest', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const { clock, network, nodes } = cluster(['a', 'b', 'c']);
        const at = (n: number): Node => nodes[n] as Node;
        const isolated = new Set<Node>();
        let connects = 0;
        for (const { transport } of nodes)
          transport.onPeerStateChanged((_peer, state) => void (state === 'connected' && connects++));
        for (const step of steps) {
          if (step.does === 'fail') await at(step.node).fail(2);
          else if (step.does === 'succeed') await at(step.node).succeed();
          else if (step.does === 'isolate') {
            at(step.node).service.isolate('peer-rpc', 'k', 'by hand');
            isolated.add(at(step.node));
          } else if (step.does === 'reset') {
            for (const breaker of at(step.node).service.breakers('peer-rpc', 'k')) breaker.reset('by hand');
            isolated.delete(at(step.node));
          } else if (step.does === 'deliver') {
            for (let n = 0; n < step.count; n++) network.deliver();
          } else if (step.does === 'pass') clock.advance(step.ms);
          else if (step.does === 'cut') {
            if (step.node !== step.other) network.partition(at(step.node).id, at(step.other).id);
          } else network.heal();
          await Promise.resolve();
          for (const one of nodes) expect(one.state() === 'isolated').toBe(isolated.has(one));
        }
        network.heal();
        network.deliverAll(1_000);
        await Promise.resolve();
        expect(network.deliverAll(1_000)).toBe(0);
        const own = nodes
          .flatMap(({ bus }) => bus)
          .filter(
            ({ source, newState }) => source !== 'remote' && (newState === 'open' || newState === 'closed'),
          ).length;
        const sent = nodes.reduce((sum, { sharing }) => sum + sharing.counters().sent, 0);
        // Two peers are told of each change; who connects is told a hello and what is open. The first time there were six.
        expect(sent).toBeLessThanOrEqual(own * 2 + (connects + 6) * 2);
        stopNodes();
        expect(clock.pendingTimers()).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });
});
