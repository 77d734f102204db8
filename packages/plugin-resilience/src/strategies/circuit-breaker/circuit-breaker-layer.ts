// The breaker of one key: lets calls in or turns them away, and hears how they went. What becomes of its state is said in
// circuit-state.ts; this keeps the books of who is inside.
//
// A call carries the generation that it came in: each change of state begins a new one, and a call of an earlier state
// says nothing of the present one. A probe keeps its place while calls change the state, so that those of an earlier
// half-open state count among the probes there may be; see probe-places.ts for how it loses it.

import type { Call } from '../../engine/call.js';
import type { CircuitLayer } from '../../engine/circuit.js';
import type { ErrorPredicate } from '../../engine/error-match.js';
import { isCancellation } from '../../engine/error-match.js';
import type { Step } from '../../engine/layer.js';
import { circuitIsolated, circuitOpen } from '../../errors.js';
import { CircuitKeeper } from './circuit-keeper.js';
import { admission } from './circuit-state.js';
import { failureName } from './failure-name.js';
import type { Probe } from './probe-places.js';
import { ProbePlaces } from './probe-places.js';
import type { Sample } from './windows/sample-window.js';
import { FAILED, GOOD, SLOW } from './windows/sample-window.js';

/** Note of a call that was let in on a dry run and would have been turned away. */
const SHADOW = -1;
/** What is said to a call that finds all places for probes taken: how long a probe takes is not known. */
const PROBE_RETRY_MS = 1_000;
/** Note of a call whose time is taken. */
interface Timed {
  readonly generation: number;
  readonly startedAt: number;
}
/** What is kept of a call: of most its generation alone, and of those of the first generation nothing. */
type Note = Timed | Probe | number | undefined;

/** One key's breaker. Made by `CircuitBreakerStrategy.layer`. */
export class CircuitBreakerLayer extends CircuitKeeper implements CircuitLayer {
  readonly type = 'circuit-breaker';

  /** Hot path: a closed breaker of the first generation reads two fields and writes one. */
  enter(call: Call, at: number): Step {
    if (this.circuit.kind !== 'closed') {
      const note = this.admit(call);
      if (note === undefined) return 'out';
      call.notes[at] = note;
    } else {
      const { options, clock } = this.strategy;
      const { generation } = this;
      if (options.slowCallMs > 0) call.notes[at] = { generation, startedAt: clock.now() } satisfies Timed;
      else if (generation !== 0) call.notes[at] = generation;
    }
    this.inside++;
    return 'in';
  }

  /** Lets a call into a breaker that is not closed. @returns its note; undefined when it was turned away. */
  private admit(call: Call): Note {
    const { options, tally, context } = this.strategy;
    const now = context.clock.now();
    this.change({ kind: 'asked' }, now, 'the break is over', 'calls');
    this.troubleAt = now;
    if (admission(this.circuit, this.placesTaken(now), options.halfOpenProbes) === 'probe') {
      this.places ??= new ProbePlaces();
      tally.probes++;
      return this.places.take(this.generation, now);
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

  /** Probes that hold a place, after those have lost it that held one for too long while others wanted it. */
  private placesTaken(now: number): number {
    const { places } = this;
    if (places === undefined) return 0;
    const { options, tally } = this.strategy;
    if (options.maxProbeMs > 0 && places.taken >= options.halfOpenProbes) {
      tally.probesOverdue += places.takeBack(options.maxProbeMs, now);
    }
    return places.taken;
  }

  private rejection(now: number, breakMs: number): unknown {
    const { policy } = this.strategy.context;
    if (this.circuit.kind === 'isolated') return circuitIsolated(policy, this.key);
    const waitMs =
      this.circuit.kind === 'open' ? this.circuit.until - now : Math.min(breakMs, PROBE_RETRY_MS);
    return circuitOpen(policy, this.key, Math.max(1, Math.ceil(waitMs)));
  }

  leave(call: Call, at: number): Step {
    const note = this.returned(call, at);
    if (note === SHADOW) return 'out';
    const isProbe = typeof note === 'object' && 'holdsPlace' in note;
    const sample = this.judge(call, typeof note === 'object' ? note.startedAt : undefined);
    if (sample === undefined) {
      if (isProbe) this.strategy.tally.probesAbandoned++;
      return 'out';
    }
    this.count(sample);
    if (generationOf(note) !== this.generation) return 'out';
    // One that has lost its place was a probe all the same, and tells as much.
    if (isProbe) this.probed(sample, call);
    else this.sampled(sample, call);
    return 'out';
  }

  abandon(call: Call, at: number): void {
    const note = this.returned(call, at);
    if (typeof note === 'object' && 'holdsPlace' in note) this.strategy.tally.probesAbandoned++;
  }

  /** Takes a call's note back, and frees what it held. */
  private returned(call: Call, at: number): Note {
    const note = call.notes[at] as Note;
    this.inside--;
    if (note === undefined) return undefined;
    call.notes[at] = undefined;
    if (typeof note === 'object' && 'holdsPlace' in note) this.places?.release(note);
    return note;
  }

  /** What a call was like; undefined when it says nothing of what is inside. */
  private judge(call: Call, startedAt: number | undefined): Sample | undefined {
    const { options, handles, clock } = this.strategy;
    let sample: number = GOOD;
    if (call.failed) {
      if (isFailure(handles, call)) sample = FAILED;
      // It was turned away further in, or called off there: what is inside was not asked, or not waited for.
      else if (call.rejectedBy !== undefined || isCancellation(call.value)) return undefined;
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

function generationOf(note: Note): number {
  if (typeof note === 'object') return note.generation;
  return note ?? 0;
}

function isFailure(handles: ErrorPredicate, { value, rejectedBy }: Call): boolean {
  try {
    return handles(value, rejectedBy);
  } catch {
    // An error that cannot even be looked at (a getter that throws) is no sign of health.
    return true;
  }
}
