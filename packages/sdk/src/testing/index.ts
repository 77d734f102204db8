export { FakeClock, settle } from './fake-clock.js';
export type { FakeClockOptions, PendingTimer } from './fake-clock.js';
export { MemoryNetwork } from './memory-network.js';
export { MemoryTransport } from './memory-transport.js';
export type { DropRule, MemoryNetworkOptions, PendingFrame } from './memory-network.js';
