// Coalescing: calls of one key with equal identities that are under way at the same time share one run of what is inside
// (single flight). The run is that of the first caller: its action, its priority. All callers get the same value or the
// same error, the very object, so nobody may change it. Each can be cancelled alone; the run is cancelled when nobody
// waits for it any more. A caller that comes after a run has ended begins a new one: nothing is remembered.
// A caller whose policy has another order by now than the run's does not join it: it may hold a place that the run waits for.
//
// An action that makes a call with the identity that it runs under waits for itself; a timeout outside of this strategy
// ends that.

import type { Call } from '../../engine/call.js';
import type { Layer, Step } from '../../engine/layer.js';
import type { Strategy, StrategyContext } from '../../engine/strategy.js';
import { attemptNotNeeded } from '../../errors.js';
import type { CoalesceOptions } from './coalesce-options.js';

/** Runs of one strategy over all keys, about 1 kB each. A call that would begin a further one goes alone. */
export const MAX_RUNS = 10_000;

/** Callers of one strategy that wait for runs, over all keys. A further one goes alone. */
export const MAX_CALLERS = 100_000;

/** Callers of one run that are answered in one turn of the event loop. Answering one takes a microsecond or two. */
export const MAX_ANSWERED_PER_TURN = 1_024;

/** A run, and those who wait for it: never nobody, until it has ended. */
interface SharedRun {
  readonly kind: 'shared';
  readonly identity: string;
  readonly run: Call;
  /** Each with the layer's place in its own row. */
  readonly callers: Map<Call, number>;
  ended: boolean;
}

/** Calls of a dry run that are inside with one identity. */
interface WouldShare {
  readonly kind: 'would-share';
  readonly identity: string;
  inside: number;
}

/** Coalescing for each key, and what it counts. */
export class CoalesceStrategy implements Strategy<CoalesceOptions> {
  readonly type = 'coalesce';
  readonly givesUp = false;
  /** Runs that were begun. */
  runs = 0;
  /** Calls that joined a run. */
  joined = 0;
  /** Calls that went alone, because there were as many runs or callers as there may be. */
  alone = 0;
  /** Runs that were cancelled, because nobody waited for them any more. */
  abandonedRuns = 0;
  /** Calls that a dry run let in and that would have joined a run. */
  wouldJoin = 0;
  /** Runs under way. */
  underWay = 0;
  /** Callers that share runs. They wait for an answer, and not in a queue. */
  callers = 0;
  private current: CoalesceOptions;

  constructor(
    options: CoalesceOptions,
    readonly context: StrategyContext,
  ) {
    this.current = options;
  }

  get options(): CoalesceOptions {
    return this.current;
  }

  /** Calls that share a run go on sharing it when a dry run begins. */
  configure(options: CoalesceOptions): void {
    this.current = options;
  }

  layer(key: string): Layer {
    return new CoalesceLayer(this, key);
  }

  forget(_layer: Layer): void {
    // The strategy knows no layer.
  }

  counters(): Readonly<Record<string, number>> {
    return {
      runs: this.runs,
      joined: this.joined,
      alone: this.alone,
      abandonedRuns: this.abandonedRuns,
      wouldJoin: this.wouldJoin,
      underWay: this.underWay,
      callers: this.callers,
    };
  }

  /** Tells an operator what was done to a call, or would have been. */
  acted(key: string, action: string, dryRun: boolean): void {
    const { policy } = this.context;
    this.context.report({ kind: 'acted', policy, key, strategy: 'coalesce', action, dryRun });
  }
}

/** The runs of one key. A call's note is what it waits for or is counted in; a call that goes alone has none. */
class CoalesceLayer implements Layer {
  readonly type = 'coalesce';
  /** The runs that may be joined. */
  private shared: Map<string, SharedRun> | undefined;
  /** Runs under way, and callers that wait for them: also for runs that nobody may join any more. */
  private runs = 0;
  private callers = 0;
  private wouldShare: Map<string, WouldShare> | undefined;

  constructor(
    private readonly strategy: CoalesceStrategy,
    private readonly key: string,
  ) {}

  enter(call: Call, at: number): Step {
    const { strategy } = this;
    const identity = call.options.identity ?? call.key;
    if (strategy.options.dryRun) return this.enterDry(call, at, identity);
    const known = this.shared?.get(identity);
    const shared = known?.run.path === call.path ? known : undefined;
    const room = shared === undefined ? strategy.underWay < MAX_RUNS : true;
    if (!room || strategy.callers >= MAX_CALLERS) {
      strategy.alone++;
      strategy.acted(this.key, 'alone', false);
      return 'in';
    }
    if (shared === undefined) this.begin(call, at, identity);
    else this.join(shared, call, at);
    strategy.callers++;
    this.callers++;
    return 'wait';
  }

  /** Comes only to calls that went in themselves. */
  leave(call: Call, at: number): Step {
    this.leaveDry(call, at);
    return 'out';
  }

  abandon(call: Call, at: number): void {
    const note = call.notes[at] as SharedRun | WouldShare | undefined;
    if (note?.kind !== 'shared') {
      this.leaveDry(call, at);
      return;
    }
    call.notes[at] = undefined;
    if (!note.callers.delete(call)) return;
    this.strategy.callers--;
    this.callers--;
    if (note.callers.size > 0 || note.ended) return;
    this.end(note);
    this.strategy.abandonedRuns++;
    // Whoever gives a call up has failed it with the reason first, unless another attempt of it was faster.
    note.run.cancel(call.failed ? call.value : attemptNotNeeded(this.strategy.context.policy, call.key));
  }

  idle(_now: number): boolean {
    return this.runs === 0 && this.callers === 0 && (this.wouldShare?.size ?? 0) === 0;
  }

  /** What an operator sees of it. */
  view(): Readonly<Record<string, number>> {
    return { underWay: this.runs, callers: this.callers };
  }

  private begin(call: Call, at: number, identity: string): void {
    const { strategy } = this;
    const run = call.fork(at, () => this.settled(shared), strategy.context.clock.now());
    const shared: SharedRun = { kind: 'shared', identity, run, callers: new Map([[call, at]]), ended: false };
    (this.shared ??= new Map()).set(identity, shared);
    call.notes[at] = shared;
    this.runs++;
    strategy.runs++;
    strategy.underWay++;
    // The engine runs it when it is done with this call, which waits by then.
    run.start();
  }

  private join(shared: SharedRun, call: Call, at: number): void {
    shared.callers.set(call, at);
    call.notes[at] = shared;
    this.strategy.joined++;
    this.strategy.acted(this.key, 'joined', false);
  }

  /** Nobody joins it any more. */
  private end(shared: SharedRun): void {
    shared.ended = true;
    // Another may have taken its place.
    if (this.shared?.get(shared.identity) === shared) this.shared.delete(shared.identity);
    this.runs--;
    this.strategy.underWay--;
  }

  private settled(shared: SharedRun): void {
    if (shared.ended) return;
    this.end(shared);
    this.answer(shared);
  }

  /** Gives the callers the outcome of the run, in the order in which they came; many of them in several turns. */
  private answer(shared: SharedRun): void {
    const { run } = shared;
    let answered = 0;
    for (const [caller, at] of shared.callers) {
      if (answered++ === MAX_ANSWERED_PER_TURN) {
        this.strategy.context.clock.setImmediate(() => this.answer(shared));
        return;
      }
      shared.callers.delete(caller);
      this.strategy.callers--;
      this.callers--;
      caller.notes[at] = undefined;
      caller.endLike(run);
      caller.goOut(at);
    }
  }

  private enterDry(call: Call, at: number, identity: string): Step {
    const { strategy } = this;
    this.wouldShare ??= new Map();
    const known = this.wouldShare.get(identity);
    if (known === undefined) {
      const first: WouldShare = { kind: 'would-share', identity, inside: 1 };
      this.wouldShare.set(identity, first);
      call.notes[at] = first;
      return 'in';
    }
    known.inside++;
    call.notes[at] = known;
    strategy.wouldJoin++;
    strategy.acted(this.key, 'joined', true);
    return 'in';
  }

  private leaveDry(call: Call, at: number): void {
    const note = call.notes[at] as WouldShare | undefined;
    if (note === undefined) return;
    call.notes[at] = undefined;
    if (--note.inside === 0) this.wouldShare?.delete(note.identity);
  }
}
