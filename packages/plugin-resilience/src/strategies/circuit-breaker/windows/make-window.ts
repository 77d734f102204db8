// Makes the window that options ask for, from nothing or from what another window remembers.

import type { WindowOptions } from '../circuit-breaker-options.js';
import { ConsecutiveWindow } from './consecutive-window.js';
import { CountWindow } from './count-window.js';
import type { SampleGroup, SampleWindow } from './sample-window.js';
import { TimeWindow } from './time-window.js';

/** A window that remembers nothing. */
export function newWindow(options: WindowOptions): SampleWindow {
  switch (options.kind) {
    case 'consecutive':
      return new ConsecutiveWindow(options);
    case 'count':
      return new CountWindow(options);
    case 'time':
      return new TimeWindow(options);
  }
}

/**
 * A window that goes on where `old` stops, as far as the new one reaches. Where the old one does not know when its
 * samples were taken, they are taken to be of `now`.
 */
export function windowAfter(options: WindowOptions, old: SampleWindow, now: number): SampleWindow {
  if (old.retune(options)) return old;
  const groups: readonly SampleGroup[] = old.groups(now);
  if (groups.length === 0) return newWindow(options);
  switch (options.kind) {
    case 'consecutive':
      return ConsecutiveWindow.after(options, groups, now);
    case 'count':
      return CountWindow.after(options, groups);
    case 'time':
      return TimeWindow.after(options, groups, now);
  }
}
