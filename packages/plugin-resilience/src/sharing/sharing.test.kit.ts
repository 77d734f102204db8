// Nodes with a policy each, joined by a network in memory, for tests of what they tell each other.

import { FakeClock, MemoryNetwork } from '@datawarehouse/sdk/testing';
import type { MemoryTransport } from '@datawarehouse/sdk/testing';
import { readPolicyDocument } from '../policy/document.js';
import { ResilienceService } from '../policy/resilience-service.js';
import { CircuitBreakerStrategy } from '../strategies/circuit-breaker/circuit-breaker-strategy.js';
import { CircuitSharing } from './circuit-sharing.js';
import { serviceBreakers } from './service-breakers.js';

/** A node, and calls of its policy. */
export interface Node {
  readonly id: string;
  readonly service: ResilienceService;
  readonly sharing: CircuitSharing;
  readonly transport: MemoryTransport;
  readonly bus: Record<string, unknown>[];
  readonly warnings: string[];
  fail(times?: number, key?: string): Promise<void>;
  succeed(key?: string): Promise<void>;
  state(key?: string): string | undefined;
}

const opened: { dispose(): void }[] = [];

/** Disposes of every node that was started. */
export function stopNodes(): void {
  for (const each of opened.splice(0)) each.dispose();
}

/** Nodes with a policy that opens after two failures, for a second, on a network whose delivery is in the test's hand. */
export function cluster(ids: readonly string[], options: { share?: boolean; queueCapacity?: number } = {}) {
  const clock = new FakeClock({ now: 1_000 });
  const { queueCapacity = 10_000, share = true } = options;
  const network = new MemoryNetwork({ nodes: ids, delivery: 'manual', clock, queueCapacity });
  const nodes = ids.map((id) => startNode(id, network, clock, share));
  network.deliverAll();
  return { clock, network, nodes };
}

/** Starts one. */
export function startNode(id: string, network: MemoryNetwork, clock: FakeClock, share = true): Node {
  const service = new ResilienceService({ clock, strategies: { 'circuit-breaker': CircuitBreakerStrategy } });
  service.set(
    readPolicyDocument({
      name: 'peer-rpc',
      strategies: [
        { type: 'circuit-breaker', window: { kind: 'consecutive', failures: 2 }, breakMs: 1_000, share },
      ],
    }),
  );
  const bus: Record<string, unknown>[] = [];
  const warnings: string[] = [];
  const transport = network.transport(id);
  const sharing = new CircuitSharing({
    nodeId: id,
    events: service,
    breakers: serviceBreakers(service),
    bus: {
      publish: (topic, payload) => {
        bus.push({ topic: typeof topic === 'string' ? topic : topic.name, ...payload });
        return true;
      },
    },
    transport,
    clock,
    log: { warn: (fields: unknown) => void warnings.push(JSON.stringify(fields)) },
  });
  const call = async (action: () => Promise<string>, key: string): Promise<void> => {
    await service.execute('peer-rpc', action, { key }).then(
      () => {},
      () => {},
    );
  };
  opened.push({
    dispose: () => {
      sharing[Symbol.dispose]();
      service.dispose();
      transport.close();
    },
  });
  return {
    id,
    service,
    sharing,
    transport,
    bus,
    warnings,
    fail: async (times = 1, key = 'k') => {
      for (let n = 0; n < times; n++) await call(() => Promise.reject(new Error('down')), key);
    },
    succeed: (key = 'k') => call(() => Promise.resolve('up'), key),
    state: (key = 'k') => service.breakers('peer-rpc', key)[0]?.view(clock.now()).state,
  };
}
