import { describe, expect, it } from 'vitest';
import { FakeClock } from '../testing/fake-clock.js';
import type { BusReport } from './bus-reporter.js';
import { BusReporter } from './bus-reporter.js';

function reporter() {
  const clock = new FakeClock();
  const reports: BusReport[] = [];
  return { clock, reports, reporter: new BusReporter((report) => reports.push(report), clock) };
}

describe('BusReporter', () => {
  it('reports the first at once and those of the next second as one, with the last error', () => {
    const { clock, reports, reporter: one } = reporter();
    for (let i = 0; i < 1_000; i++) one.handlerFailed('a', 'p', i);
    expect(reports).toEqual([{ kind: 'handler-failed', topic: 'a', subscriber: 'p', count: 1, error: 0 }]);
    clock.advance(1_000);
    expect(reports[1]).toEqual({
      kind: 'handler-failed',
      topic: 'a',
      subscriber: 'p',
      count: 999,
      error: 999,
    });
  });

  it('keeps kinds, topics and subscribers apart', () => {
    const { reports, reporter: one } = reporter();
    one.dropped('a', 'p');
    one.dropped('b', 'p');
    one.dropped('a', 'q');
    one.rejected('a', 'p');
    expect(reports).toHaveLength(4);
    one.close();
  });

  it('stops its timer when all is quiet, and begins anew', () => {
    const { clock, reports, reporter: one } = reporter();
    one.dropped('a', 'p');
    clock.advance(1_000);
    expect(clock.pendingTimers()).toEqual([]);
    one.dropped('a', 'p');
    expect(reports).toHaveLength(2);
    one.close();
  });

  it('stays within bounds however many topics fail, and loses none of the counts', () => {
    const { clock, reports, reporter: one } = reporter();
    for (let i = 0; i < 5_000; i++) one.dropped(`t${i}`, 'p');
    expect(reports.length).toBeLessThanOrEqual(257);
    clock.advance(1_000);
    expect(reports.reduce((sum, report) => sum + report.count, 0)).toBe(5_000);
    expect(reports.at(-1)).toMatchObject({ topic: '(other)' });
    one.close();
  });

  it('hands on what waits when it is closed', () => {
    const { clock, reports, reporter: one } = reporter();
    for (let i = 0; i < 3; i++) one.dropped('a', 'p');
    one.close();
    expect(reports.map((report) => report.count)).toEqual([1, 2]);
    expect(clock.pendingTimers()).toEqual([]);
  });

  it('contains a listener that throws, and counts it', async () => {
    const warned = new Promise<Error>((resolve) => {
      process.on('warning', function heard(warning) {
        if (warning.message !== 'listener broke') return;
        process.off('warning', heard);
        resolve(warning);
      });
    });
    const one = new BusReporter(() => {
      throw new Error('listener broke');
    }, new FakeClock());
    one.dropped('a', 'p');
    one.dropped('b', 'p');
    expect(one.listenerFailures).toBe(2);
    expect((await warned).message).toBe('listener broke');
    one.close();
  });
});
