// Which policies move their thresholds by themselves: those whose document asks for it, and, where the node is configured
// so, all whose document does not say. Each has its own options, its own interval and its own memory.

import type { Clock } from '@datawarehouse/sdk';
import type { PolicyDocument } from '../policy/document.js';
import type { ResilienceService } from '../policy/resilience-service.js';
import type { AdaptiveOptions } from './adaptive-options.js';
import { AdaptiveThresholds } from './adaptive-thresholds.js';

/** What {@link PolicyAdaptations} needs. */
export interface PolicyAdaptationsOptions {
  readonly service: Pick<ResilienceService, 'policy' | 'listenToChanges' | 'events'>;
  readonly clock: Clock;
  /** Of policies whose document does not say; undefined: they do not adapt. */
  readonly preset: AdaptiveOptions | undefined;
}

interface Adaptation {
  readonly text: string;
  readonly thresholds: AdaptiveThresholds;
}

/** Follows documents, and lets thresholds move where they say so. */
export class PolicyAdaptations implements Disposable {
  private readonly byName = new Map<string, Adaptation>();

  constructor(private readonly options: PolicyAdaptationsOptions) {}

  /** Policies whose thresholds may move. */
  get count(): number {
    return this.byName.size;
  }

  /**
   * A document is in force. Setting it has put those strategies back to what it says of which it says another thing than
   * before; what was learned stays.
   */
  follow({ name, adaptive }: PolicyDocument): void {
    const wanted = adaptive ?? this.options.preset;
    if (wanted?.enabled !== true) {
      this.forget(name);
      return;
    }
    const text = JSON.stringify(wanted);
    const present = this.byName.get(name);
    if (present === undefined) this.byName.set(name, { text, thresholds: this.begin(name, wanted) });
    else if (present.text !== text) {
      // Beginning an interval anew at each change would let one that changes often never adapt.
      present.thresholds.reconfigure(wanted);
      this.byName.set(name, { text, thresholds: present.thresholds });
    }
  }

  /** A policy is gone, or adapts no longer. */
  forget(name: string): void {
    this.byName.get(name)?.thresholds[Symbol.dispose]();
    this.byName.delete(name);
  }

  [Symbol.dispose](): void {
    for (const name of this.byName.keys()) this.forget(name);
  }

  private begin(name: string, options: AdaptiveOptions): AdaptiveThresholds {
    const { service, clock } = this.options;
    return new AdaptiveThresholds({
      clock,
      options,
      policies: () => [service.policy(name)],
      events: {
        listen: (listener) =>
          service.listenToChanges((event) => {
            if (event.policy === name) listener(event);
          }),
      },
      report: (event) => service.events.report(event),
    });
  }
}
