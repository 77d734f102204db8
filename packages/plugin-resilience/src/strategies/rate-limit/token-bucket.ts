// A token bucket: it holds `burst` tokens at most, a call takes one, and they come back evenly, `limit` in `perMs`. So in
// any span of t ms no more than burst + t · limit / perMs calls begin.
//
// A change of the rate puts no token into the bucket and takes none out but those that it cannot hold any more: after
// the burst was raised the bucket fills up at its rate. Changing limits to and fro gives nobody a call for nothing.

import type { Meter, Rate } from './rate.js';
import { SLACK_MS, tokensBy } from './rate.js';

/** The bucket of one key. */
export class TokenBucket implements Meter {
  readonly algorithm = 'token-bucket';

  /**
   * @param tokens What is in it, as of `at`. Below 0 only on a dry run, which lets calls in that would have to wait.
   * @param rate The rate in force at `at`.
   */
  constructor(
    private tokens: number,
    private rate: Rate,
    private at: number,
  ) {}

  wait(nth: number, rate: Rate, now: number): number {
    this.refill(rate, now);
    const missing = nth - this.tokens;
    // The sum of many fractions may be wrong in its last digits, too.
    return missing <= SLACK_MS * rate.refill + 1e-9 ? 0 : missing / rate.refill;
  }

  take(rate: Rate, now: number): void {
    this.refill(rate, now);
    this.tokens--;
  }

  free(rate: Rate, now: number): number {
    this.refill(rate, now);
    return Math.max(0, Math.floor(this.tokens));
  }

  unused(rate: Rate, now: number): boolean {
    return this.wait(rate.burst, rate, now) === 0;
  }

  private refill(rate: Rate, now: number): void {
    const came =
      rate === this.rate ? (now - this.at) * rate.refill : tokensBy(rate, now) - tokensBy(this.rate, this.at);
    this.tokens = Math.min(rate.burst, this.tokens + Math.max(0, came));
    this.at = now;
    this.rate = rate;
  }
}
