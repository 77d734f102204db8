export { nextTurn, SystemClock, sleep } from './clock.js';
export type { Clock, TimerHandle } from './clock.js';
