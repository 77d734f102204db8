// The breaker of one key: lets calls in or turns them away, and hears how they went. What becomes of its state is said in
// circuit-state.ts; this keeps the books of who is inside.
//
// A call carries a ticket. A call of an earlier state says nothing of the present one: each change of state begins a new
// generation, and only tickets of the present generation count. A probe keeps its place until it has left or was given
// up, whatever became of the state meanwhile, so that there are never more probes at once than allowed.

import type { Call } from '../../engine/call.js';
import type { CircuitLayer } from '../../engine/circuit.js';
import { isCancellation } from '../../engine/error-match.js';
import type { Step } from '../../engine/layer.js';
import { circuitIsolated, circuitOpen, rejectingStrategy } from '../../errors.js';
import { CircuitKeeper } from './circuit-keeper.js';
import { admission } from './circuit-state.js';
import { failureName } from './failure-name.js';
import type { Sample } from './windows/sample-window.js';
import { FAILED, GOOD, SLOW } from './windows/sample-window.js';

/** Ticket of a call that was let in on a dry run and would have been turned away. */
const SHADOW = -1;
/** Lowest bit of a ticket: the call is a probe. The bits above are its generation. */
const PROBE = 1;
/** What is said to a call that finds all places for probes taken: how long a probe takes is not known. */
const PROBE_RETRY_MS = 1_000;
/** Ticket of a call whose time is taken. Other calls carry a number, and those of the first generation nothing. */
interface TimedTicket {
  readonly ticket: number;
  readonly startedAt: number;
}

/** One key's breaker. Made by `CircuitBreakerStrategy.layer`. */
export class CircuitBreakerLayer extends CircuitKeeper implements CircuitLayer {
  readonly type = 'circuit-breaker';

  /** Hot path: a closed breaker of the first generation reads two fields and writes one. */
  enter(call: Call, at: number): Step {
    const { options, clock } = this.strategy;
    let ticket = this.generation * 2;
    if (this.circuit.kind !== 'closed') {
      const answer = this.admit(call);
      if (answer === undefined) return 'out';
      ticket = answer;
    }
    this.inside++;
    if (options.slowCallMs > 0) call.notes[at] = { ticket, startedAt: clock.now() } satisfies TimedTicket;
    else if (ticket !== 0) call.notes[at] = ticket;
    return 'in';
  }

  /** Lets a call into a breaker that is not closed. @returns its ticket; undefined when it was turned away. */
  private admit(call: Call): number | undefined {
    const { options, tally, context } = this.strategy;
    const now = context.clock.now();
    this.change({ kind: 'asked' }, now, 'the break is over', 'calls');
    this.troubleAt = now;
    if (admission(this.circuit, this.probes, options.halfOpenProbes) === 'probe') {
      this.probes++;
      tally.probes++;
      return this.generation * 2 + PROBE;
    }
    if (options.dryRun) {
      tally.wouldReject++;
      const { policy } = context;
      context.report({
        kind: 'acted',
        policy,
        key: this.key,
        strategy: this.type,
        action: 'rejected',
        dryRun: true,
      });
      return SHADOW;
    }
    tally.rejected++;
    call.fail(this.rejection(now, options.breakMs));
    return undefined;
  }

  private rejection(now: number, breakMs: number): unknown {
    const { policy } = this.strategy.context;
    if (this.circuit.kind === 'isolated') return circuitIsolated(policy, this.key);
    const waitMs =
      this.circuit.kind === 'open' ? this.circuit.until - now : Math.min(breakMs, PROBE_RETRY_MS);
    return circuitOpen(policy, this.key, Math.max(1, Math.ceil(waitMs)));
  }

  leave(call: Call, at: number): Step {
    const note = call.notes[at] as TimedTicket | number | undefined;
    const ticket = this.returned(call, at, note);
    if (ticket === SHADOW) return 'out';
    const current = ticket >> 1 === this.generation;
    const startedAt = typeof note === 'object' ? note.startedAt : undefined;
    const sample = this.judge(call, startedAt);
    if (sample === undefined) {
      if ((ticket & PROBE) !== 0) this.strategy.tally.probesAbandoned++;
      return 'out';
    }
    this.count(sample);
    if (!current) return 'out';
    if ((ticket & PROBE) !== 0) this.probed(sample, call);
    else this.sampled(sample, call);
    return 'out';
  }

  abandon(call: Call, at: number): void {
    const ticket = this.returned(call, at, call.notes[at] as TimedTicket | number | undefined);
    if (ticket !== SHADOW && (ticket & PROBE) !== 0) this.strategy.tally.probesAbandoned++;
  }

  /** Takes a call's ticket back, and frees what it held. */
  private returned(call: Call, at: number, note: TimedTicket | number | undefined): number {
    this.inside--;
    if (note === undefined) return 0;
    call.notes[at] = undefined;
    const ticket = typeof note === 'number' ? note : note.ticket;
    if (ticket !== SHADOW && (ticket & PROBE) !== 0) this.probes--;
    return ticket;
  }

  /** What a call was like; undefined when it says nothing of what is inside. */
  private judge(call: Call, startedAt: number | undefined): Sample | undefined {
    const { options, handles, clock } = this.strategy;
    let sample: number = GOOD;
    if (call.failed) {
      if (isFailure(handles, call.value)) sample = FAILED;
      // It was turned away further in, or called off there: what is inside was not asked, or not waited for.
      else if (rejectingStrategy(call.value) !== undefined || isCancellation(call.value)) return undefined;
    }
    const { slowCallMs } = options;
    if (slowCallMs > 0 && startedAt !== undefined && clock.now() - startedAt >= slowCallMs) sample |= SLOW;
    return sample as Sample;
  }

  private count(sample: Sample): void {
    const { tally } = this.strategy;
    if ((sample & FAILED) !== 0) tally.failed++;
    else tally.succeeded++;
    if ((sample & SLOW) !== 0) tally.slow++;
  }

  private sampled(sample: Sample, call: Call): void {
    const { strategy } = this;
    const window = this.currentWindow();
    // Only a window of time asks when a good call was; reading the clock costs more than the rest of this.
    const timed = sample !== GOOD || strategy.options.window.kind === 'time';
    const now = timed ? strategy.clock.now() : 0;
    window.add(sample, now);
    if (sample === GOOD) return;
    this.troubleAt = now;
    const why = window.verdict(strategy.options, now);
    if (why === undefined) return;
    const last = call.failed ? ` (the last one with ${failureName(call.value)})` : '';
    this.change({ kind: 'tripped', breakMs: strategy.options.breakMs }, now, why + last, 'calls');
  }

  private probed(sample: Sample, call: Call): void {
    const { successesToClose, breakMs } = this.strategy.options;
    const now = this.strategy.clock.now();
    if (sample === GOOD) {
      const why = successesToClose === 1 ? 'a probe succeeded' : `${successesToClose} probes succeeded`;
      this.change({ kind: 'probe-succeeded', successesToClose }, now, why, 'calls');
      return;
    }
    const why = call.failed ? `a probe failed with ${failureName(call.value)}` : 'a probe was too slow';
    this.change({ kind: 'probe-failed', breakMs }, now, why, 'calls');
  }
}

function isFailure(handles: (error: unknown) => boolean, error: unknown): boolean {
  try {
    return handles(error);
  } catch {
    // An error that cannot even be looked at (a getter that throws) is no sign of health.
    return true;
  }
}
