// A sliding window: in no span of `perMs`, wherever it begins, more than `limit` calls begin.
//
// An exact log needs `limit` timestamps for each key; the usual way out, two counters with interpolation between them,
// supposes that the calls of the older one were spread evenly, and lets up to nearly twice the limit through when they
// were not. This is a log whose entries stand for one or more calls each, under the time of the latest of them. As all
// calls of an entry leave the window together and none earlier than its own time would have it, the bound is kept
// whatever the calls do; what is lost is that a place may come back late, by less than perMs / 64. A limit of up to 64
// has an entry for each call, and is exact.

import type { Meter, Rate } from './rate.js';
import { SLACK_MS } from './rate.js';

/** Entries into which a window is divided when the limit is higher than this. */
export const WINDOW_SLOTS = 64;

/**
 * Entries at most. A window needs no more than `WINDOW_SLOTS + 2`; more come together only while `perMs` is changed again
 * and again. Then the newest entry takes all calls, which keeps the bound and gives places back later.
 */
const MAX_ENTRIES = 2 * WINDOW_SLOTS;

/** The window of one key. */
export class SlidingWindow implements Meter {
  readonly algorithm = 'sliding-window';
  /** Time of the latest call of each entry, ascending from `head`. */
  private readonly times: number[] = [];
  /** Calls of each entry. */
  private readonly counts: number[] = [];
  /** The first entry that is in the window. */
  private head = 0;
  /** Calls in the window: the sum of `counts` from `head` on. May be above the limit after that was lowered. */
  private used = 0;
  /** Time of the first call of the newest entry. */
  private newestBegan = 0;

  /** @param used Calls that count as begun at `now`. */
  constructor(used: number, now: number) {
    if (used > 0) this.append(used, now);
  }

  /** Entries that are kept. */
  get entries(): number {
    return this.times.length - this.head;
  }

  wait(nth: number, rate: Rate, now: number): number {
    this.prune(rate, now);
    const { limit, perMs } = rate;
    // The call after a full round of calls begins a window later than the first of them.
    const rounds = Math.floor((nth - 1) / limit);
    const missing = nth - rounds * limit - (limit - this.used);
    return rounds * perMs + (missing <= 0 ? 0 : this.timeOf(missing) + perMs - now);
  }

  take(rate: Rate, now: number): void {
    this.prune(rate, now);
    const { entries } = this;
    const joins = rate.limit > WINDOW_SLOTS && now - this.newestBegan < rate.perMs / WINDOW_SLOTS;
    if (entries > 0 && (joins || entries >= MAX_ENTRIES)) {
      const newest = this.times.length - 1;
      this.times[newest] = now;
      this.counts[newest] = (this.counts[newest] as number) + 1;
      this.used++;
    } else this.append(1, now);
  }

  free(rate: Rate, now: number): number {
    this.prune(rate, now);
    return Math.max(0, rate.limit - this.used);
  }

  unused(rate: Rate, now: number): boolean {
    this.prune(rate, now);
    return this.used === 0;
  }

  private append(count: number, now: number): void {
    this.times.push(now);
    this.counts.push(count);
    this.used += count;
    this.newestBegan = now;
  }

  /** Forgets what has left the window. Amortized O(1). */
  private prune({ perMs }: Rate, now: number): void {
    const { times, counts } = this;
    while (this.head < times.length && (times[this.head] as number) + perMs <= now + SLACK_MS) {
      this.used -= counts[this.head] as number;
      this.head++;
    }
    if (this.head === times.length) times.length = counts.length = this.head = 0;
    else if (this.head >= MAX_ENTRIES) {
      times.splice(0, this.head);
      counts.splice(0, this.head);
      this.head = 0;
    }
  }

  /** When the entry that holds the nth of the calls in the window had its latest call. */
  private timeOf(nth: number): number {
    let entry = this.head;
    let counted = this.counts[entry] as number;
    while (counted < nth) counted += this.counts[++entry] as number;
    return this.times[entry] as number;
  }
}
