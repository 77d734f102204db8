import { expect, test } from 'vitest';
import { CRASH_WINDOW_MS, CrashWindow } from './crash-window.js';

test('the third crash within five minutes reaches the limit', () => {
  const window = new CrashWindow();
  expect([0, 1_000, CRASH_WINDOW_MS - 1].map((now) => window.record(now))).toEqual([false, false, true]);
});

test('a crash is forgotten after five minutes, to the millisecond', () => {
  const window = new CrashWindow();
  expect([0, 1_000, CRASH_WINDOW_MS].map((now) => window.record(now))).toEqual([false, false, false]);
  expect(window.record(CRASH_WINDOW_MS + 999)).toBe(true);
  expect(window.total).toBe(4);
});

test('clearing forgets the window and keeps the total', () => {
  const window = new CrashWindow();
  window.record(0);
  window.record(0);
  window.clear();
  expect(window.record(0)).toBe(false);
  expect(window.total).toBe(3);
});
