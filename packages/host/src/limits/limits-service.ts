// All limits of the node in one place: shows them, changes them from HTTP, the command line and the bus alike, keeps
// what an operator has set, and gives it back to a subsystem that registers again.

import {
  BackpressureChanged,
  errorMessage,
  LimitsChanged,
  ScalingReconfigure,
  SystemClock,
} from '@datawarehouse/sdk';
import type {
  BackpressureState,
  Clock,
  IMessageBus,
  IPersistentBackingStore,
  IScalableSubsystem,
  Logger,
  MetricValue,
} from '@datawarehouse/sdk';
import { SchemaChecker } from '../schema/schema-checker.js';
import { requestInvalid } from '../http/errors.js';
import { assertChange, assertSubsystem } from './check-limits.js';
import { limitsBusy, limitsNotKept, limitsTimeout, subsystemTaken, subsystemUnknown } from './errors.js';
import { KeptLimits } from './kept-limits.js';
import type { LimitValues } from './kept-limits.js';

/** One limit as it is shown. */
export interface LimitView {
  readonly value: number;
  readonly unit: string;
  readonly min: number;
  readonly max: number;
  readonly default: number;
  readonly description: string;
}

/** Limits of one subsystem by name. */
export type LimitViews = Readonly<Record<string, LimitView>>;

/** What a change did. */
export interface LimitsChangeResult {
  readonly applied: LimitValues;
  /** The values that the changed limits had before. */
  readonly previous: LimitValues;
}

/** What the service needs. */
export interface LimitsServiceOptions {
  readonly bus: IMessageBus;
  readonly store: IPersistentBackingStore;
  readonly log: Logger;
  readonly clock?: Clock;
  /** How long a subsystem may take for one change, in milliseconds. Default 10 000. */
  readonly changeMs?: number;
}

interface Registration {
  readonly owner: string;
  readonly subsystem: IScalableSubsystem;
  /** What an operator has set; equals what is on disk whenever no change is under way. */
  kept: LimitValues;
  backpressure: BackpressureState;
  /** Subsystems that have not yet got their kept limits back are not shown. */
  ready: boolean;
}

type LimitsChangedPayload = {
  readonly subsystem: string;
  readonly previous: Record<string, number>;
  readonly current: Record<string, number>;
  readonly source: string;
};

/** Who waits for one subsystem name. It outlives registrations, so that a reload reads what a change before it kept. */
interface Turn {
  /** The next task starts when this settles. Never rejects. */
  tail: Promise<void>;
  /** Tasks waiting or under way; bounded by {@link MAX_WAITING}. */
  waiting: number;
}

const CHANGE_MS = 10_000;
const MAX_WAITING = 64;
/** How often backpressure states are looked at. Nobody needs to hear of a change sooner. */
const BACKPRESSURE_EVERY_MS = 500;

/** Shows and changes the limits of all subsystems. */
export class LimitsService {
  /** By subsystem name. */
  private readonly registrations = new Map<string, Registration>();
  /** By subsystem name; holds a name only while something is under way for it. */
  private readonly turns = new Map<string, Turn>();
  private readonly kept: KeptLimits;
  private readonly clock: Clock;
  private readonly checker = new SchemaChecker({ root: 'the payload', allErrors: false });
  private readonly owned: (() => void)[] = [];

  constructor(private readonly options: LimitsServiceOptions) {
    this.clock = options.clock ?? new SystemClock(false);
    this.kept = new KeptLimits(options.store, options.log);
  }

  /** Begins to answer `dw.scaling.reconfigure` and to announce backpressure. */
  start(): void {
    const responder = this.options.bus.respond(ScalingReconfigure, (message, signal) => {
      const checked = this.checker.check<{ subsystem: string; limits: LimitValues }>(
        ScalingReconfigure.payload,
        message.payload,
      );
      if (!checked.ok) throw requestInvalid(checked.issues);
      return this.change(checked.value.subsystem, checked.value.limits, message.sender, signal);
    });
    const timer = this.clock.setInterval(() => this.announceBackpressure(), BACKPRESSURE_EVERY_MS);
    this.owned.push(
      () => responder.unsubscribe(),
      () => timer.cancel(),
    );
  }

  /** Ends what {@link start} began. Changes under way run to their end. */
  stop(): void {
    for (const release of this.owned.splice(0)) release();
  }

  /**
   * Adds a subsystem until it is disposed of, and gives it back the limits that were set before. A kept value that is
   * no longer legal is reported and skipped.
   * @throws DwError `subsystem-taken`, `subsystem-invalid`; what the store throws when it cannot be read.
   */
  async register(owner: string, subsystem: IScalableSubsystem): Promise<Disposable> {
    assertSubsystem(owner, subsystem);
    const name = subsystem.subsystemName;
    const taken = this.registrations.get(name);
    if (taken !== undefined) throw subsystemTaken(name, taken.owner, owner);
    const registration: Registration = {
      owner,
      subsystem,
      kept: {},
      backpressure: 'normal',
      ready: false,
    };
    // Taken before the first await, so that two registrations under way cannot both have the name.
    this.registrations.set(name, registration);
    const remove = (): void => {
      if (this.registrations.get(name) === registration) this.registrations.delete(name);
    };
    try {
      await this.inTurn(name, () => this.restore(registration));
    } catch (thrown) {
      remove();
      throw thrown;
    }
    registration.ready = true;
    return { [Symbol.dispose]: remove };
  }

  /** Limits of every subsystem. */
  describeAll(): Readonly<Record<string, LimitViews>> {
    return Object.fromEntries(this.ready().map(([name]) => [name, this.describe(name)]));
  }

  /** Limits of one subsystem. @throws DwError `subsystem-unknown` (404). */
  describe(name: string): LimitViews {
    const { subsystem } = this.get(name);
    const current = subsystem.currentLimits;
    return Object.fromEntries(
      Object.entries(subsystem.limitDescriptors).map(([limit, descriptor]) => [
        limit,
        {
          value: current[limit] ?? descriptor.default,
          unit: descriptor.unit,
          min: descriptor.min,
          max: descriptor.max,
          default: descriptor.default,
          description: descriptor.description,
        },
      ]),
    );
  }

  /** Metrics of every subsystem. One whose metrics cannot be had is reported and shown as empty. */
  metrics(): Readonly<Record<string, Readonly<Record<string, MetricValue>>>> {
    return Object.fromEntries(
      this.ready().map(([name, { owner, subsystem }]) => {
        try {
          return [name, Object.fromEntries(subsystem.getScalingMetrics())];
        } catch (thrown) {
          this.options.log.error({ subsystem: name, plugin: owner, error: thrown }, 'metrics cannot be read');
          return [name, {}];
        }
      }),
    );
  }

  /**
   * Changes limits, all or nothing. The change is in force and on disk when this resolves.
   * @param source who asked, for those who listen.
   * @throws DwError `subsystem-unknown` (404), `limit-unknown` or `limit-out-of-range` (422), `limits-busy` (429),
   * `limits-not-kept` or `outcome-unknown` (503); what the subsystem throws.
   */
  async change(
    name: string,
    change: unknown,
    source: string,
    signal?: AbortSignal,
  ): Promise<LimitsChangeResult> {
    assertChange(name, this.get(name).subsystem.limitDescriptors, change);
    return this.inTurn(name, () => {
      signal?.throwIfAborted();
      // Asked again: while this change waited, the subsystem may have gone, or come back with other limits.
      const registration = this.get(name);
      assertChange(name, registration.subsystem.limitDescriptors, change);
      return this.applyAndKeep(registration, { ...change }, source);
    });
  }

  private ready(): [string, Registration][] {
    return [...this.registrations]
      .filter(([, registration]) => registration.ready)
      .sort(([a], [b]) => (a < b ? -1 : 1));
  }

  private get(name: string): Registration {
    const registration = this.registrations.get(name);
    if (registration === undefined || !registration.ready) {
      throw subsystemUnknown(
        name,
        this.ready().map(([known]) => known),
      );
    }
    return registration;
  }

  private async inTurn<T>(name: string, task: () => Promise<T>): Promise<T> {
    const turn = this.turns.get(name) ?? { tail: Promise.resolve(), waiting: 0 };
    if (turn.waiting >= MAX_WAITING) throw limitsBusy(name, turn.waiting);
    this.turns.set(name, turn);
    turn.waiting += 1;
    const result = turn.tail.then(task);
    const settled = (): void => {
      turn.waiting -= 1;
      if (turn.waiting === 0) this.turns.delete(name);
    };
    turn.tail = result.then(settled, settled);
    return result;
  }

  private async restore(registration: Registration): Promise<void> {
    const name = registration.subsystem.subsystemName;
    registration.kept = await this.kept.read(name);
    const legal: Record<string, number> = {};
    for (const [limit, value] of Object.entries(registration.kept)) {
      try {
        assertChange(name, registration.subsystem.limitDescriptors, { [limit]: value });
        legal[limit] = value;
      } catch (thrown) {
        this.options.log.warn(
          { subsystem: name, limit, value, reason: errorMessage(thrown) },
          'a kept limit is no longer allowed and is skipped',
        );
      }
    }
    if (Object.keys(legal).length === 0) return;
    try {
      await this.reconfigure(registration.subsystem, legal);
    } catch (thrown) {
      this.options.log.error(
        { subsystem: name, limits: legal, error: thrown },
        'kept limits were refused; the defaults are in force',
      );
    }
  }

  private async applyAndKeep(
    registration: Registration,
    applied: LimitValues,
    source: string,
  ): Promise<LimitsChangeResult> {
    const { subsystem } = registration;
    const name = subsystem.subsystemName;
    const before = { ...subsystem.currentLimits };
    const previous: Record<string, number> = {};
    for (const limit of Object.keys(applied)) {
      previous[limit] = before[limit] ?? subsystem.limitDescriptors[limit]?.default ?? 0;
    }
    await this.reconfigure(subsystem, applied);
    const kept = { ...registration.kept, ...applied };
    try {
      await this.kept.write(name, kept);
    } catch (thrown) {
      await this.takeBack(subsystem, previous);
      throw limitsNotKept(name, thrown);
    }
    registration.kept = kept;
    this.options.log.info({ subsystem: name, applied, previous, source }, 'limits changed');
    this.announceChange({ subsystem: name, previous, current: applied, source });
    return { applied, previous };
  }

  /** The change is in force and kept; that nobody can be told of it (the bus is closed) does not undo it. */
  private announceChange(change: LimitsChangedPayload): void {
    try {
      this.options.bus.publish(LimitsChanged, change);
    } catch (thrown) {
      this.options.log.warn(
        { ...change, reason: errorMessage(thrown) },
        'a change of limits was not announced',
      );
    }
  }

  private async takeBack(subsystem: IScalableSubsystem, previous: LimitValues): Promise<void> {
    try {
      await this.reconfigure(subsystem, previous);
    } catch (thrown) {
      this.options.log.error(
        { subsystem: subsystem.subsystemName, previous, error: thrown },
        'limits that could not be kept could not be taken back either',
      );
    }
  }

  private async reconfigure(subsystem: IScalableSubsystem, limits: LimitValues): Promise<void> {
    const abort = new AbortController();
    const afterMs = this.options.changeMs ?? CHANGE_MS;
    let late: (error: Error) => void = () => {};
    const timeout = new Promise<never>((_, reject) => {
      late = reject;
    });
    const timer = this.clock.setTimeout(() => {
      const error = limitsTimeout(subsystem.subsystemName, afterMs);
      late(error);
      abort.abort(error);
    }, afterMs);
    try {
      await Promise.race([subsystem.reconfigureLimitsAsync(limits, abort.signal), timeout]);
    } finally {
      timer.cancel();
    }
  }

  private announceBackpressure(): void {
    for (const [name, registration] of this.ready()) {
      try {
        const current = registration.subsystem.currentBackpressureState;
        const previous = registration.backpressure;
        if (current === previous) continue;
        registration.backpressure = current;
        this.options.bus.publish(BackpressureChanged, { subsystem: name, previous, current });
      } catch (thrown) {
        this.options.log.error(
          { subsystem: name, plugin: registration.owner, error: thrown },
          'backpressure state cannot be read',
        );
      }
    }
  }
}
