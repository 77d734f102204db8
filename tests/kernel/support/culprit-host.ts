// A host with a plugin that does what a test says, and another one that offers it services: to see whose fault a failure
// is taken for.

import { expect, vi } from 'vitest';
import type { Host, PluginSummary } from '@datawarehouse/host';
import type { DwError } from '@datawarehouse/sdk';
import { FakeClock } from '@datawarehouse/sdk/testing';
import { expectNoLeaks, processHoldings } from './leaks.js';
import type { LogLine } from './plugin-fixtures.js';
import { Workbench, memoryLog } from './plugin-fixtures.js';

const EVENTS = ['uncaughtException', 'unhandledRejection'] as const;

/** A host with plugin `culprit`, whose `act` runs when the test says, and `bystander`, which offers services. */
export class CulpritHost {
  readonly clock = new FakeClock();
  readonly lines: LogLine[] = [];
  readonly fatal: DwError[] = [];
  readonly #before: ReturnType<typeof processHoldings>;
  readonly #foreign = new Map<string, NodeJS.UncaughtExceptionListener[]>();
  #host: Host | undefined;

  private constructor(private readonly bench: Workbench) {
    // The test runner listens too, and would fail the run for what is provoked here.
    for (const event of EVENTS) {
      this.#foreign.set(event, process.listeners(event as 'uncaughtException'));
      process.removeAllListeners(event);
    }
    this.#before = processHoldings();
  }

  static async create(): Promise<CulpritHost> {
    return new CulpritHost(await Workbench.create());
  }

  get host(): Host {
    if (this.#host === undefined) throw new Error('not started yet');
    return this.#host;
  }

  /** @returns the address of its HTTP interface. */
  async start(
    act: string,
    manifests: { readonly culprit?: object; readonly bystander?: object } = {},
    entry: object = {},
  ): Promise<string> {
    const culprit = await this.bench.plugin(
      'culprit',
      {
        manifest: {
          requires: ['help'],
          topics: { publish: ['>'], subscribe: ['>'] },
          ...manifests.culprit,
        },
        body: `activateAsync() {
          const { context } = this;
          const help = context.services.get({ id: 'help' });
          context.bus.subscribe('act', () => { ${act} });
        }`,
      },
      entry,
    );
    const bystander = await this.bench.plugin('bystander', {
      manifest: { provides: ['help'], ...manifests.bystander },
      body: `initializeAsync(context) {
        let listener;
        context.services.provide({ id: 'help' }, {
          failInTheBackground() { Promise.reject(new Error('my own fault')); },
          listen(fn) { listener = fn; },
          call() { setImmediate(() => listener()); },
        });
      }`,
    });
    this.#host = await this.bench.host([culprit, bystander], {
      clock: this.clock,
      log: memoryLog(this.lines),
      onFatal: (error) => this.fatal.push(error),
    });
    return (await this.#host.start()).url;
  }

  find(id: string): PluginSummary {
    const found = this.host.plugins.list().find((plugin) => plugin.id === id);
    if (found === undefined) throw new Error(`no plugin ${id}`);
    return found;
  }

  /** Has `culprit` act so many times, and waits until each was counted. */
  async provoke(times = 1): Promise<void> {
    const expected = this.find('culprit').crashes + times;
    for (let i = 0; i < times; i++) {
      await this.host.bus.publishAndWait('act', i);
      await this.clock.advanceAsync(1_100);
    }
    await vi.waitFor(() => expect(this.find('culprit').crashes).toBe(expected));
  }

  /** Stops the host and checks that nothing is left of it. */
  async end(): Promise<void> {
    await this.host.stop();
    await this.clock.advanceAsync(0);
    await expectNoLeaks(this.host, this.#before, this.clock);
    await this.bench.remove();
    for (const [event, listeners] of this.#foreign)
      for (const one of listeners) process.on(event as 'uncaughtException', one);
  }
}
