// Makes calls slow, makes them fail, or answers in place of the action, so that an operator sees what a policy does about
// it. What happens to a call is drawn when it comes in, in a fixed order, so that equal random numbers make equal chaos.

import type { TimerHandle } from '@datawarehouse/sdk';
import type { Call } from '../../engine/call.js';
import type { Layer, Step } from '../../engine/layer.js';
import type { Strategy, StrategyContext } from '../../engine/strategy.js';
import { chaosInjected } from '../../errors.js';
import type { ChaosOptions } from './chaos-options.js';

/** What is done to one call. */
interface Fate {
  readonly delayMs: number;
  readonly ends: 'act' | 'fault' | 'result';
}

const UNHARMED: Fate = { delayMs: 0, ends: 'act' };

/** The chaos of a policy. All keys share one layer. */
export class ChaosStrategy implements Strategy<ChaosOptions>, Layer {
  readonly type = 'chaos';
  readonly givesUp = false;
  private faults = 0;
  private delays = 0;
  private results = 0;
  /** What would have been done, on a dry run. */
  private wouldInject = 0;
  /** Calls that wait now because they are made slow. */
  private waiting = 0;

  constructor(
    public options: ChaosOptions,
    private readonly context: StrategyContext,
  ) {}

  /** Acts on calls that come in from now on. Those that are made slow wait out their time. */
  configure(options: ChaosOptions): void {
    this.options = options;
  }

  layer(): Layer {
    return this;
  }

  forget(): void {
    // All keys share one layer, which holds nothing for a key.
  }

  /** `waiting` is a gauge. */
  counters(): Readonly<Record<string, number>> {
    return {
      faults: this.faults,
      delays: this.delays,
      results: this.results,
      wouldInject: this.wouldInject,
      waiting: this.waiting,
    };
  }

  enter(call: Call, at: number): Step {
    if (!this.options.enabled) return 'in';
    const fate = this.draw();
    if (fate === UNHARMED) return 'in';
    const { dryRun } = this.options;
    this.report(call, fate, dryRun);
    if (dryRun) {
      this.wouldInject++;
      return 'in';
    }
    if (fate.delayMs === 0) return this.meet(call, fate);
    this.delays++;
    this.waiting++;
    call.notes[at] = this.context.clock.setTimeout(() => {
      call.notes[at] = undefined;
      this.waiting--;
      if (this.meet(call, fate) === 'in') call.goIn(at);
      else call.goOut(at);
    }, fate.delayMs);
    return 'wait';
  }

  leave(): Step {
    return 'out';
  }

  abandon(call: Call, at: number): void {
    const timer = call.notes[at] as TimerHandle | undefined;
    if (timer === undefined) return;
    timer.cancel();
    call.notes[at] = undefined;
    this.waiting--;
  }

  idle(): boolean {
    return true;
  }

  /** Draws latency, then fault, then result; what has no share draws nothing. */
  private draw(): Fate {
    const { latencyRate, latencyMinMs, latencyMaxMs, faultRate, resultRate } = this.options;
    let delayMs = 0;
    if (this.hits(latencyRate)) {
      const spanMs = Math.max(0, latencyMaxMs - latencyMinMs);
      delayMs = Math.ceil(latencyMinMs + spanMs * this.context.random());
    }
    if (this.hits(faultRate)) return { delayMs, ends: 'fault' };
    if (this.hits(resultRate)) return { delayMs, ends: 'result' };
    return delayMs === 0 ? UNHARMED : { delayMs, ends: 'act' };
  }

  private hits(share: number): boolean {
    return share > 0 && this.context.random() < share;
  }

  private meet(call: Call, { ends }: Fate): 'in' | 'out' {
    if (ends === 'act') return 'in';
    if (ends === 'fault') {
      this.faults++;
      call.fail(chaosInjected(this.context.policy, call.key, 'a fault'));
      return 'out';
    }
    this.results++;
    const { result } = this.options;
    call.succeed(typeof result === 'object' ? structuredClone(result) : result);
    return 'out';
  }

  private report(call: Call, { delayMs, ends }: Fate, dryRun: boolean): void {
    const what = ends === 'act' ? '' : `${ends} injected`;
    const slow = delayMs === 0 ? '' : `${delayMs} ms of latency injected`;
    this.context.report({
      kind: 'acted',
      policy: this.context.policy,
      key: call.key,
      strategy: 'chaos',
      action: [slow, what].filter((part) => part !== '').join(', '),
      dryRun,
    });
  }
}
