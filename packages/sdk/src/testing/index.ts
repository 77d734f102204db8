export { FakeClock, settle } from './fake-clock.js';
export type { FakeClockOptions, PendingTimer } from './fake-clock.js';
