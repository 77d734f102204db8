// Tells operators in the log when a breaker or a threshold changes, and the bus of thresholds; breakers are told there by
// who shares them. At a bounded rate: a hundred thousand breakers that open together are one story, told by its beginning
// and a number.

import { ResilienceAdapted } from '@datawarehouse/sdk';
import type { Clock, IMessageBus, Logger, ResilienceEvent } from '@datawarehouse/sdk';

const WINDOW_MS = 1_000;

/** What an {@link EventReporter} needs. */
export interface EventReporterOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly bus: IMessageBus;
  /** Events a second that are told. */
  readonly maxEvents: () => number;
}

type Told = Exclude<ResilienceEvent, { readonly kind: 'acted' }>;

/** Logs and publishes events. */
export class EventReporter {
  /** Events that nobody was told of, since the start. */
  untoldTotal = 0;
  private untold = 0;
  private told = 0;
  private windowEnds = -Infinity;

  constructor(private readonly options: EventReporterOptions) {}

  /** Hears of every event; what strategies do to single calls is only counted, by them. */
  readonly listener = (event: ResilienceEvent): void => {
    if (event.kind === 'acted') return;
    const now = this.options.clock.now();
    if (now >= this.windowEnds) {
      this.windowEnds = now + WINDOW_MS;
      this.told = 0;
    }
    if (this.told >= this.options.maxEvents()) {
      this.untold++;
      this.untoldTotal++;
      return;
    }
    this.told++;
    const untold = this.untold;
    this.untold = 0;
    this.log(event, untold);
  };

  private log(event: Told, untold: number): void {
    const { log } = this.options;
    if (untold > 0) log.warn({ untold }, `${untold} changes in resilience policies were not logged`);
    if (event.kind === 'adapted') {
      const { policy, strategy, limit, previous, current, reason } = event;
      log.info(event, `${policy}: ${limit} of ${strategy} went from ${previous} to ${current}: ${reason}`);
      this.options.bus.publish(ResilienceAdapted, { policy, strategy, limit, previous, current, reason });
      return;
    }
    const { policy, key, strategy, previous, current, reason } = event;
    const where = key === '' ? policy : `${policy} for ${key}`;
    const text = `${where}: ${strategy} went from ${previous} to ${current}: ${reason}`;
    if (current === 'open' || current === 'isolated') log.warn(event, text);
    else log.info(event, text);
  }
}
