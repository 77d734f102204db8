import { describe, expect, it, onTestFinished } from 'vitest';
import { FakeClock } from '@datawarehouse/sdk/testing';
import {
  BackpressureChanged,
  DwError,
  InProcessBus,
  LimitsChanged,
  LimitSet,
  MemoryBackingStore,
  ScalingReconfigure,
} from '@datawarehouse/sdk';
import type {
  BackpressureState,
  IPersistentBackingStore,
  IScalableSubsystem,
  LimitDescriptor,
  Logger,
} from '@datawarehouse/sdk';
import { LimitsService } from './limits-service.js';

const BATCH: LimitDescriptor = {
  unit: 'records',
  min: 1,
  max: 100,
  default: 10,
  description: 'Records of a batch',
};

class Shipper implements IScalableSubsystem {
  readonly subsystemName = 'shipper';
  readonly limits: LimitSet;
  backpressure: BackpressureState = 'normal';
  /** Set to make the next changes wait. */
  gate: Promise<void> | undefined;
  readonly seen: Readonly<Record<string, number>>[] = [];

  constructor(batch: LimitDescriptor = BATCH) {
    this.limits = new LimitSet({ maxBatch: batch }, 'shipper');
  }
  get limitDescriptors() {
    return this.limits.descriptors;
  }
  get currentLimits() {
    return this.limits.current;
  }
  get currentBackpressureState(): BackpressureState {
    return this.backpressure;
  }
  getScalingMetrics() {
    return new Map<string, number>([['cache.size', 0]]);
  }
  async reconfigureLimitsAsync(values: Readonly<Record<string, number>>): Promise<void> {
    await this.gate;
    this.seen.push(values);
    this.limits.apply(values);
  }
}

function harness(store: IPersistentBackingStore = new MemoryBackingStore()) {
  const warnings: string[] = [];
  const note = (_fields: unknown, message?: string): void => void warnings.push(message ?? '');
  const log: Logger = { debug() {}, info() {}, warn: note, error: note, child: () => log };
  const bus = new InProcessBus();
  const clock = new FakeClock();
  const service = new LimitsService({ bus, store, log, clock, changeMs: 1_000 });
  service.start();
  onTestFinished(() => service.stop());
  return { service, bus, store, clock, warnings };
}

describe('LimitsService', () => {
  it('changes limits, answers with before and after, and announces it', async () => {
    const { service, bus } = harness();
    const announced: unknown[] = [];
    bus.subscribe(LimitsChanged, ({ payload }) => void announced.push(payload));
    await service.register('p', new Shipper());
    const change = await service.change('shipper', { maxBatch: 20, maxQueueDepth: 7 }, 'http');
    expect(change).toEqual({
      applied: { maxBatch: 20, maxQueueDepth: 7 },
      previous: { maxBatch: 10, maxQueueDepth: 1_000 },
    });
    expect(service.describe('shipper')['maxBatch']).toEqual({
      value: 20,
      unit: 'records',
      min: 1,
      max: 100,
      default: 10,
      description: 'Records of a batch',
    });
    await expect
      .poll(() => announced)
      .toEqual([
        { subsystem: 'shipper', previous: change.previous, current: change.applied, source: 'http' },
      ]);
  });

  it.each([
    [{ maxBatch: 20, maxBach: 1 }, 'limit-unknown'],
    [{ maxBatch: 101 }, 'limit-out-of-range'],
    [{ maxBatch: 1.5 }, 'limit-out-of-range'],
    [{ maxBatch: '20' }, 'limit-out-of-range'],
    [{ maxBatch: Number.NaN }, 'limit-out-of-range'],
    [{ constructor: 1 }, 'limit-unknown'],
    [{}, 'limit-unknown'],
    [null, 'limit-unknown'],
  ])('refuses %j whole, without asking the subsystem', async (change, code) => {
    const { service } = harness();
    const shipper = new Shipper();
    await service.register('p', shipper);
    await expect(service.change('shipper', change, 'http')).rejects.toMatchObject({ code, status: 422 });
    expect(shipper.seen).toEqual([]);
  });

  it('knows its subsystems by name and owner', async () => {
    const { service } = harness();
    await expect(service.change('shiper', { maxBatch: 1 }, 'http')).rejects.toMatchObject({ status: 404 });
    const first = await service.register('first', new Shipper());
    await expect(service.register('second', new Shipper())).rejects.toThrow(
      'first has registered one of that name',
    );
    first[Symbol.dispose]();
    await service.register('second', new Shipper());
    first[Symbol.dispose]();
    expect(Object.keys(service.describeAll())).toEqual(['shipper']);
  });

  it('gives a subsystem back what was set when it comes again', async () => {
    const store = new MemoryBackingStore();
    const before = harness(store);
    await before.service.register('p', new Shipper());
    await before.service.change('shipper', { maxBatch: 20 }, 'http');
    await before.service.change('shipper', { maxQueueDepth: 5 }, 'http');
    const after = harness(store);
    const shipper = new Shipper();
    await after.service.register('p', shipper);
    expect(shipper.currentLimits).toMatchObject({ maxBatch: 20, maxQueueDepth: 5 });
    expect(after.warnings).toEqual([]);
  });

  it('skips and reports a kept value that is no longer allowed, and applies the others', async () => {
    const store = new MemoryBackingStore();
    const before = harness(store);
    await before.service.register('p', new Shipper());
    await before.service.change('shipper', { maxBatch: 20, maxQueueDepth: 5 }, 'http');
    const after = harness(store);
    const shipper = new Shipper({ ...BATCH, max: 15 });
    await after.service.register('p', shipper);
    expect(shipper.currentLimits).toMatchObject({ maxBatch: 10, maxQueueDepth: 5 });
    expect(after.warnings).toEqual(['a kept limit is no longer allowed and is skipped']);
  });

  it('starts with the defaults when what is kept is damaged', async () => {
    const { service, store, warnings } = harness();
    await store.writeAsync('dw://internal/limits/shipper', Buffer.from('{"maxBatch":'));
    await service.register('p', new Shipper());
    expect(service.describe('shipper')['maxBatch']?.value).toBe(10);
    expect(warnings).toEqual(['kept limits cannot be read and are ignored']);
  });

  it('takes a change back when the disk refuses it', async () => {
    const store = new MemoryBackingStore();
    const { service } = harness(store);
    const shipper = new Shipper();
    await service.register('p', shipper);
    store.writeAsync = () =>
      Promise.reject(new DwError({ code: 'store-failed', message: 'the disk is gone' }));
    await expect(service.change('shipper', { maxBatch: 20 }, 'http')).rejects.toMatchObject({
      code: 'limits-not-kept',
      status: 503,
    });
    expect(shipper.currentLimits.maxBatch).toBe(10);
  });

  it('answers only when the change is on disk', async () => {
    const store = new MemoryBackingStore();
    const { service } = harness(store);
    await service.register('p', new Shipper());
    let written: (() => void) | undefined;
    store.writeAsync = () => new Promise((resolve) => (written = () => resolve(1)));
    let answered = false;
    const change = service.change('shipper', { maxBatch: 20 }, 'http').then(() => (answered = true));
    await expect.poll(() => written).toBeDefined();
    expect(answered).toBe(false);
    written?.();
    await change;
  });

  it('makes changes one after another, and bounds how many wait', async () => {
    const { service } = harness();
    const shipper = new Shipper();
    await service.register('p', shipper);
    let open = (): void => {};
    shipper.gate = new Promise((resolve) => (open = resolve));
    const changes = Array.from({ length: 64 }, (_, i) =>
      service.change('shipper', { maxBatch: i + 1 }, 'http'),
    );
    await expect(service.change('shipper', { maxBatch: 1 }, 'http')).rejects.toMatchObject({
      code: 'limits-busy',
    });
    open();
    const results = await Promise.all(changes);
    expect(results.map(({ previous }) => previous['maxBatch'])).toEqual([
      10,
      ...Array.from({ length: 63 }, (_, i) => i + 1),
    ]);
  });

  it('gives up on a subsystem that does not answer, and serves the next change', async () => {
    const { service, clock } = harness();
    const shipper = new Shipper();
    await service.register('p', shipper);
    shipper.gate = new Promise(() => {});
    const change = service.change('shipper', { maxBatch: 20 }, 'http');
    change.catch(() => {});
    await clock.advanceAsync(1_000);
    await expect(change).rejects.toMatchObject({ code: 'outcome-unknown' });
    shipper.gate = undefined;
    await service.change('shipper', { maxBatch: 30 }, 'http');
    expect(shipper.currentLimits.maxBatch).toBe(30);
  });

  it('does the same for dw.scaling.reconfigure on the bus, and says who asked', async () => {
    const { service, bus } = harness();
    const sources: string[] = [];
    bus.subscribe(LimitsChanged, ({ payload }) => void sources.push(payload.source));
    await service.register('p', new Shipper());
    expect(await bus.send(ScalingReconfigure, { subsystem: 'shipper', limits: { maxBatch: 20 } })).toEqual({
      applied: { maxBatch: 20 },
      previous: { maxBatch: 10 },
    });
    await expect.poll(() => sources).toEqual(['host']);
    await expect(bus.send(ScalingReconfigure.name, { subsystem: 'shipper' })).rejects.toMatchObject({
      code: 'request-invalid',
    });
    await expect(
      bus.send(ScalingReconfigure, { subsystem: 'shipper', limits: { maxBatch: 0 } }),
    ).rejects.toMatchObject({ code: 'limit-out-of-range' });
  });

  it('announces when backpressure changes, once', async () => {
    const { service, bus, clock } = harness();
    const announced: unknown[] = [];
    bus.subscribe(BackpressureChanged, ({ payload }) => void announced.push(payload));
    const shipper = new Shipper();
    await service.register('p', shipper);
    shipper.backpressure = 'critical';
    await clock.advanceAsync(2_000);
    await expect
      .poll(() => announced)
      .toEqual([{ subsystem: 'shipper', previous: 'normal', current: 'critical' }]);
  });

  it('shows the others when one subsystem cannot give its metrics', async () => {
    const { service, warnings } = harness();
    const shipper = new Shipper();
    shipper.getScalingMetrics = () => {
      throw new Error('broken');
    };
    await service.register('p', shipper);
    expect(service.metrics()).toEqual({ shipper: {} });
    expect(warnings).toEqual(['metrics cannot be read']);
  });

  it('refuses a subsystem whose name or default cannot be used', async () => {
    const { service } = harness();
    const nameless = Object.assign(new Shipper(), { subsystemName: 'Ship it' });
    await expect(service.register('p', nameless)).rejects.toMatchObject({ code: 'subsystem-invalid' });
    const wrong = new Shipper();
    Object.defineProperty(wrong, 'limitDescriptors', { value: { maxBatch: { ...BATCH, default: 1_000 } } });
    await expect(service.register('p', wrong)).rejects.toMatchObject({ code: 'subsystem-invalid' });
  });
});
