// A whole policy in a small world: keys, calls that end, hang or are given up, a clock, an operator who changes limits,
// isolates and resets. Each thing that the policy does is looked at when it does it, and compared with what it may.

import { expect } from 'vitest';
import { isDwError } from '@datawarehouse/sdk';
import { FakeClock } from '@datawarehouse/sdk/testing';
import { readPolicyDocument } from '../policy/document.js';
import { ResilienceService } from '../policy/resilience-service.js';
import { STRATEGY_CLASSES } from '../policy/strategy-classes.js';
import { BUDGET_MS, LONGEST_MS, RATE_MS, documentOf, drawLimits } from './world-limits.test.kit.js';
import type { Innermost, Limits } from './world-limits.test.kit.js';
import { BreakerModel } from './breaker-model.test.kit.js';
import type { Pass } from './breaker-model.test.kit.js';

const KEYS = 14;
/** Fewer than there are keys, so that idle ones are forgotten all the time. */
const MOST_INSTANCES = 9;
const KNOWN = new Set([
  'bulkhead-full',
  'bulkhead-queue-timeout',
  'call-timeout',
  'circuit-isolated',
  'circuit-open',
  'rate-limited',
  'resilience-keys-exhausted',
]);

/** One run of a call's action. */
interface Attempt {
  readonly call: WorldCall;
  readonly pass: Pass | undefined;
  over: boolean;
  readonly end: (failed: boolean) => void;
}

interface WorldCall {
  readonly key: string;
  readonly begun: number;
  readonly latest: number;
  readonly controller: AbortController;
  mostRetries: number;
  attempts: number;
  settled: number;
  cancelled: boolean;
}

const CANCELLED = new Error('not wanted');

/** The world. Everything that happens in it comes from its seed. */
export class PolicyWorld {
  readonly clock = new FakeClock();
  readonly service = new ResilienceService({
    clock: this.clock,
    strategies: STRATEGY_CLASSES,
    random: () => this.random(),
    maxCacheEntries: MOST_INSTANCES,
  });
  /** What has happened, to see that everything has. */
  readonly seen: Record<string, number> = {};
  private readonly open = new Set<WorldCall>();
  private readonly running = new Set<Attempt>();
  private readonly inside = new Map<string, number>();
  private readonly starts = new Map<string, number[]>();
  private readonly breakers = new Map<string, BreakerModel>();
  private readonly firsts: number[] = [];
  private readonly retries: number[] = [];
  private limits: Limits;
  private state: number;
  private begun = 0;
  private wrong: Error | undefined;

  constructor(
    seed: number,
    private readonly innermost: Innermost,
  ) {
    this.state = seed;
    this.limits = drawLimits(() => this.random());
    this.put();
    this.service.listen((event) => {
      if (event.kind !== 'acted' || !/^retry \d/.test(event.action)) return;
      this.note('retry');
      this.retried();
    });
  }

  /** Does one thing, and lets what follows from it happen. */
  async step(): Promise<void> {
    const dice = this.random();
    if (dice < 0.42) this.call();
    else if (dice < 0.74) this.endOne();
    else if (dice < 0.79) this.cancelOne();
    else if (dice < 0.96) await this.clock.advanceAsync(this.below(12));
    else if (dice < 0.985) this.change();
    else this.byHand();
    await settled();
    if (this.wrong !== undefined) throw this.wrong;
  }

  /** Ends everything, and sees that nothing is left. */
  async finish(): Promise<void> {
    await this.clock.advanceAsync(LONGEST_MS);
    for (const attempt of this.running) attempt.end(false);
    await settled();
    expect(this.open.size).toBe(0);
    const { calls, successes, failures, rejections, cancelled, inFlight, strategies } =
      this.policy.statistics();
    expect(inFlight).toBe(0);
    expect(calls).toBe(this.begun);
    expect(calls).toBe(successes + failures + rejections + cancelled);
    for (const { counters } of strategies) {
      expect(counters['waiting'] ?? 0).toBe(0);
      expect(counters['inside'] ?? 0).toBe(0);
    }
    expect(this.clock.pendingTimers()).toEqual([]);
    // When everything has been quiet for long and no breaker is held open, nothing needs to be remembered.
    this.service.reset('p');
    await this.clock.advanceAsync(1_000_000);
    this.service.setMaxCacheEntries(1);
    for (let n = 0; n < 10; n++) await this.clock.advanceAsync(1);
    expect(this.service.instances.size).toBeLessThanOrEqual(1);
    this.service.dispose();
    expect(this.clock.pendingTimers()).toEqual([]);
  }

  private call(): void {
    const key = `k${this.below(KEYS)}`;
    const now = this.clock.now();
    const { totalMs, maxRetries } = this.limits;
    const call: WorldCall = {
      key,
      begun: now,
      latest: now + totalMs,
      controller: new AbortController(),
      mostRetries: maxRetries,
      attempts: 0,
      settled: 0,
      cancelled: false,
    };
    this.begun++;
    this.open.add(call);
    this.firsts.push(now);
    const action = (signal: AbortSignal): Promise<unknown> => this.attempt(call, signal);
    const options = { key, signal: call.controller.signal, priority: this.below(2) };
    this.service.execute('p', action, options).then(
      (value) => this.came(call, false, value),
      (error: unknown) => this.came(call, true, error),
    );
  }

  /** The policy lets a call through to its action. */
  private attempt(call: WorldCall, signal: AbortSignal): Promise<unknown> {
    const now = this.clock.now();
    const { key } = call;
    call.attempts++;
    if (call.settled > 0 || call.cancelled) this.broken('an action was begun for a call that is over');
    if (call.attempts > call.mostRetries + 1) this.broken(`${call.attempts} attempts`);
    const inside = (this.inside.get(key) ?? 0) + 1;
    this.inside.set(key, inside);
    this.admitted(key, inside, now);
    const pass = this.innermost === 'circuit-breaker' ? this.passed(key, now) : undefined;
    return new Promise((resolve, reject) => {
      const attempt: Attempt = {
        call,
        pass,
        over: false,
        end: (failed) => {
          if (!this.left(attempt)) return;
          if (pass !== undefined) this.breaker(key).leave(pass, failed, this.clock.now());
          if (failed) reject(new Error('failed'));
          else resolve(call);
        },
      };
      this.running.add(attempt);
      signal.addEventListener('abort', () => this.givenUp(attempt, signal.reason));
    });
  }

  private passed(key: string, now: number): Pass {
    const breaker = this.breaker(key);
    if (!breaker.allows(now)) this.broken(`a call went through a breaker that is ${breaker.state}`);
    return breaker.enter(now);
  }

  /** What stands next to the action has let a call in. */
  private admitted(key: string, inside: number, now: number): void {
    const { concurrency, rate } = this.limits;
    if (this.innermost === 'bulkhead' && inside > concurrency)
      this.broken(`${inside} of ${concurrency} inside`);
    if (this.innermost !== 'rate-limit') return;
    const starts = this.starts.get(key)?.filter((at) => at > now - RATE_MS) ?? [];
    starts.push(now);
    this.starts.set(key, starts);
    if (starts.length > rate) this.broken(`${starts.length} of ${rate} in ${RATE_MS} ms`);
  }

  private givenUp(attempt: Attempt, reason: unknown): void {
    if (!this.left(attempt)) return;
    const { call, pass } = attempt;
    if (pass === undefined) return;
    const now = this.clock.now();
    // The attempt's own timeout is a failure, as the breaker sees it; that of the whole call is further out.
    const own = isDwError(reason, 'call-timeout') && now < call.latest;
    if (own) this.breaker(call.key).leave(pass, true, now);
    else this.breaker(call.key).abandon(pass, now);
  }

  private left(attempt: Attempt): boolean {
    if (attempt.over) return false;
    attempt.over = true;
    this.running.delete(attempt);
    const { key } = attempt.call;
    this.inside.set(key, (this.inside.get(key) ?? 0) - 1);
    return true;
  }

  private came(call: WorldCall, failed: boolean, value: unknown): void {
    const now = this.clock.now();
    this.open.delete(call);
    if (++call.settled > 1) this.broken('a call settled twice');
    if (now > call.latest) this.broken(`a call settled ${now - call.latest} ms late`);
    if (call.cancelled) {
      if (value !== CANCELLED) this.broken('a cancelled call ended with something else');
      this.note('cancelled');
      return;
    }
    if (!failed) {
      if (value !== call && value !== 'instead') this.broken('a call got what is not its own');
      this.note(value === call ? 'success' : 'fallback');
      return;
    }
    if (value instanceof Error && value.message === 'failed') {
      this.note('failure');
      return;
    }
    const code = isDwError(value) ? value.code : String(value);
    if (!KNOWN.has(code)) this.broken(`a call ended with ${code}`);
    this.note(code);
    if (this.innermost !== 'circuit-breaker' || !code.startsWith('circuit-')) return;
    const breaker = this.breaker(call.key);
    if (breaker.allows(now) && breaker.refusedAt !== now)
      this.broken(`${code} of a breaker that lets calls in`);
  }

  private retried(): void {
    const now = this.clock.now();
    this.retries.push(now);
    const { ratio, minPerSecond } = this.limits;
    // A call that waited further out counts as a first attempt when it was let in, at most so much later.
    const patience = this.innermost === 'circuit-breaker' ? LONGEST_MS : 0;
    const firsts = dropBefore(this.firsts, now - BUDGET_MS - patience);
    const retries = dropAfter(this.retries, now - BUDGET_MS);
    const most = ratio * firsts + (minPerSecond * BUDGET_MS) / 1_000;
    if (retries > most + 1e-6) this.broken(`${retries} retries, ${firsts} first attempts, at most ${most}`);
  }

  private endOne(): void {
    const attempt = this.pick(this.running);
    if (attempt === undefined) return;
    // Keys take turns in being ill, so that breakers open and close.
    const ill = (Math.floor(this.clock.now() / 500) + Number(attempt.call.key.slice(1))) % 3 === 0;
    attempt.end(this.random() < (ill ? 0.9 : 0.1));
  }

  private cancelOne(): void {
    const call = this.pick(this.open);
    if (call === undefined) return;
    call.cancelled = true;
    call.controller.abort(CANCELLED);
  }

  private change(): void {
    this.note('change');
    this.limits = drawLimits(() => this.random());
    this.put();
    for (const call of this.open) call.mostRetries = Math.max(call.mostRetries, this.limits.maxRetries);
  }

  private byHand(): void {
    const now = this.clock.now();
    const key = `k${this.below(KEYS)}`;
    if (this.policy.breakers(key).length === 0) return;
    if (this.random() < 0.3) {
      this.note('isolated');
      this.service.isolate('p', key, 'by hand');
      this.breaker(key).isolate(now);
    } else {
      this.note('reset');
      this.service.reset('p', key);
      this.breaker(key).reset(now);
    }
  }

  private put(): void {
    this.service.set(readPolicyDocument(documentOf(this.limits, this.innermost)));
  }

  /** The policy did what it must not. The first such thing is what the run fails with. */
  private broken(what: string): void {
    this.wrong ??= new Error(`not allowed: ${what}, at ${this.clock.now()} ms`);
  }

  private breaker(key: string): BreakerModel {
    let breaker = this.breakers.get(key);
    if (breaker === undefined) this.breakers.set(key, (breaker = new BreakerModel(() => this.limits)));
    return breaker;
  }

  private get policy() {
    return this.service.policy('p');
  }

  private note(what: string): void {
    this.seen[what] = (this.seen[what] ?? 0) + 1;
  }

  private pick<T>(from: ReadonlySet<T>): T | undefined {
    let left = this.below(from.size);
    for (const one of from) if (left-- === 0) return one;
    return undefined;
  }

  private below(n: number): number {
    return Math.floor(this.random() * n);
  }

  /** mulberry32. */
  private random(): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let t = this.state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  }
}

/** Forgets times before `from`. @returns how many are left. */
function dropBefore(times: number[], from: number): number {
  while ((times[0] ?? Infinity) < from) times.shift();
  return times.length;
}

/** Forgets times up to `from`. @returns how many are left. */
function dropAfter(times: number[], from: number): number {
  while ((times[0] ?? Infinity) <= from) times.shift();
  return times.length;
}

async function settled(): Promise<void> {
  for (let n = 0; n < 24; n++) await Promise.resolve();
}
