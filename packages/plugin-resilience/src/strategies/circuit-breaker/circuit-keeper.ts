// The state of one key's breaker, its window and its last transitions, and all that changes them. Each change of state
// begins a new generation, by which the layer tells calls of earlier ones.

import type { CircuitTransition, CircuitView } from '../../engine/circuit.js';
import type { CircuitState, ResilienceEvent } from '../../engine/events.js';
import type { CircuitBreakerStrategy } from './circuit-breaker-strategy.js';
import { MAX_BREAK_MS } from './circuit-breaker-options.js';
import type { WindowOptions } from './circuit-breaker-options.js';
import type { Circuit, CircuitInput } from './circuit-state.js';
import { CLOSED, nextCircuit } from './circuit-state.js';
import type { ProbePlaces } from './probe-places.js';
import { TransitionLog } from './transition-log.js';
import { newWindow, windowAfter } from './windows/make-window.js';
import type { SampleTotals, SampleWindow } from './windows/sample-window.js';

/**
 * A breaker that nobody asked for so long may be forgotten, if it is half-open or has seen failures while closed: it
 * would let a call through now anyway. An open or isolated one never may.
 */
const FORGET_AFTER_MS = 600_000;

/** A breaker at a moment, for people. Its state is `half-open` as soon as the break is over, also before a call comes. */
export interface BreakerView extends CircuitView {
  /** Probes that hold a place. */
  readonly probes: number;
  /** Calls inside, probes among them. */
  readonly inside: number;
  /** What it looks at while it is closed: for failures in a row, those of the row. */
  readonly window: SampleTotals;
}

/** What is known of another node's breaker. */
export interface RemoteChange {
  readonly reason: string;
  /** How long it stays open; default: as long as this policy says. */
  readonly breakMs?: number;
}

/** Keeps one breaker's state. */
export abstract class CircuitKeeper {
  protected circuit: Circuit = CLOSED;
  /** Changes of state since it was made, and resets. */
  protected generation = 0;
  /** Of probes, of any generation. Made for the first: most keys never have one. */
  protected places: ProbePlaces | undefined;
  /** Calls inside, probes among them. */
  protected inside = 0;
  /** When it was last not good, monotonic ms. */
  protected troubleAt = 0;
  private window: SampleWindow;
  /** Those that {@link window} was made for. */
  private windowOptions: WindowOptions;
  /** Undefined until the first transition: most keys never have one. */
  private log: TransitionLog | undefined;

  constructor(
    readonly strategy: CircuitBreakerStrategy,
    readonly key: string,
  ) {
    this.windowOptions = strategy.options.window;
    this.window = newWindow(this.windowOptions);
  }

  /** @returns whether it is in another state now. */
  protected change(
    input: CircuitInput,
    now: number,
    reason: string,
    source: 'calls' | 'remote' | 'operator',
  ): boolean {
    const previous = this.circuit;
    const current = nextCircuit(previous, input, now);
    if (current === previous) return false;
    this.circuit = current;
    if (current.kind === previous.kind) return false;
    this.generation++;
    this.troubleAt = now;
    if (current.kind === 'closed') this.clearWindow();
    this.tell(previous.kind, current, now, reason, source);
    return true;
  }

  /** The window of the closed breaker, for the options in force now; with the samples that it had under earlier ones. */
  protected currentWindow(): SampleWindow {
    const { options, configuredAt } = this.strategy;
    if (this.windowOptions !== options.window) {
      this.window = windowAfter(options.window, this.window, configuredAt);
      this.windowOptions = options.window;
    }
    return this.window;
  }

  private clearWindow(): void {
    this.windowOptions = this.strategy.options.window;
    this.window = newWindow(this.windowOptions);
  }

  private tell(
    previous: CircuitState,
    current: Circuit,
    now: number,
    reason: string,
    source: 'calls' | 'remote' | 'operator',
  ): void {
    const { strategy, key } = this;
    const { context, name, options, tally } = strategy;
    const { policy, clock } = context;
    if (current.kind === 'open' && source === 'calls') tally.opened++;
    if (current.kind === 'open' && source === 'remote') tally.openedByRemote++;
    strategy.moved(previous, current.kind);
    this.log ??= new TransitionLog();
    const told = options.dryRun ? `${reason} (dry run)` : reason;
    this.log.add({ previous, current: current.kind, reason: told, source, at: clock.wallTime() });
    const event: ResilienceEvent = {
      kind: 'circuit-changed',
      policy,
      key,
      strategy: name,
      previous,
      current: current.kind,
      reason: told,
      source,
      ...(current.kind === 'open' ? { breakMs: current.until - now } : {}),
    };
    context.report(event);
  }

  /** The state that the books hold: open until a call or an operator looks, also when the break is over. */
  get recorded(): CircuitState {
    return this.circuit.kind;
  }

  /** Whether its changes are other nodes' affair, and theirs its own. What is only on a dry run is nobody's. */
  get shared(): boolean {
    const { share, dryRun } = this.strategy.options;
    return share && !dryRun;
  }

  /** The state at `now`: `half-open` as soon as the break is over. Reading changes nothing. */
  state(now: number): CircuitState {
    const { circuit } = this;
    return circuit.kind === 'open' && now >= circuit.until ? 'half-open' : circuit.kind;
  }

  /** Milliseconds until a probe may be made; 0 unless it is open. */
  remainingMs(now: number): number {
    return this.circuit.kind === 'open' ? Math.max(0, this.circuit.until - now) : 0;
  }

  view(now: number): BreakerView {
    const { inside, transitions } = this;
    const probes = this.places?.taken ?? 0;
    const remainingMs = this.remainingMs(now);
    // As it is: moving it to other options is for the call that is judged by them.
    const window = this.window.totals(now);
    return { state: this.state(now), remainingMs, probes, inside, window, transitions };
  }

  /** The last transitions, oldest first. */
  get transitions(): readonly CircuitTransition[] {
    return this.log?.entries() ?? [];
  }

  /**
   * Opens it by hand, until {@link reset}. Calls inside go on and say nothing any more; probes hold no places any more.
   * @returns whether it was not isolated before.
   */
  isolate(reason: string): boolean {
    this.places?.clear();
    return this.change({ kind: 'isolate' }, this.strategy.clock.now(), reason, 'operator');
  }

  /**
   * Closes it by hand, with nothing remembered: calls that are inside say nothing any more, and probes hold no places.
   * @returns whether it was not closed before.
   */
  reset(reason: string): boolean {
    this.places?.clear();
    if (this.change({ kind: 'reset' }, this.strategy.clock.now(), reason, 'operator')) return true;
    this.generation++;
    this.clearWindow();
    return false;
  }

  /**
   * The breaker of the same policy and key on another node has changed. Its opening opens this one, for as long as it
   * stays open there; its closing lets this one make a probe before its break is over. What is isolated stays so.
   * @returns whether the state has changed.
   */
  applyRemote(state: 'open' | 'closed', change: RemoteChange): boolean {
    if (!this.shared) return false;
    const now = this.strategy.clock.now();
    if (state === 'closed') return this.change({ kind: 'remote-closed' }, now, change.reason, 'remote');
    const breakMs = Math.min(Math.max(1, change.breakMs ?? this.strategy.options.breakMs), MAX_BREAK_MS);
    return this.change({ kind: 'remote-opened', breakMs }, now, change.reason, 'remote');
  }

  /** Whether nobody is inside, and it would do nothing that a new one would not: see {@link FORGET_AFTER_MS}. */
  idle(now: number): boolean {
    if (this.inside > 0) return false;
    const { kind } = this.circuit;
    if (kind === 'isolated' || this.state(now) === 'open') return false;
    if (kind === 'closed' && this.window.clean(now)) return true;
    const { breakMs } = this.strategy.options;
    return now - this.troubleAt >= FORGET_AFTER_MS + breakMs;
  }
}
