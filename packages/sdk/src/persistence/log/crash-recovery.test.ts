// The log on a disk that loses, tears and reorders what was not synced: after each crash nothing acknowledged is
// missing, nothing is there that was not appended, and nothing is taken for damage that a crash can leave.
import { describe, expect, it } from 'vitest';

import { isDwError } from '../../errors/index.js';
import { FakeClock } from '../../testing/fake-clock.js';
import { rejectionCode } from '../../testing/contract-hooks.js';
import type { DiskFaults } from '../testing/faulty-disk.js';
import { FaultyDisk, SeededRandom } from '../testing/faulty-disk.js';
import { FileAppendLog } from './file-append-log.js';
import type { SyncBy } from './file-append-log-options.js';

const SEEDS = 40;
const SESSIONS = 6;

/** What the test knows of one log across its crashes. */
class Ledger {
  /** What was appended last at each position, as text. */
  readonly appended = new Map<number, string>();
  /** Positions below this must be there. */
  acknowledged = 1;
  /** Positions below this were given up. */
  dropped = 1;

  /** Everything is as it has to be; what is there from now on has been seen, and so has to stay. */
  async check(log: FileAppendLog, trace: string): Promise<void> {
    const { firstPosition, nextPosition } = log;
    expect({ trace, ok: nextPosition >= this.acknowledged }).toEqual({ trace, ok: true });
    expect({ trace, ok: firstPosition <= this.dropped }).toEqual({ trace, ok: true });
    let next = firstPosition;
    for await (const { position, data } of log.scan()) {
      const text = Buffer.from(data).toString('latin1');
      if (position !== next || text !== this.appended.get(position)) {
        expect.fail(`${trace}: position ${position}, expected ${next}: other bytes than were appended`);
      }
      next += 1;
    }
    expect({ trace, next }).toEqual({ trace, next: nextPosition });
    this.acknowledged = nextPosition;
    // What was cut must not come back later on.
    for (const position of this.appended.keys()) if (position >= nextPosition) this.appended.delete(position);
  }
}

function open(disk: FaultyDisk, clock: FakeClock, syncBy: SyncBy = 'write'): Promise<FileAppendLog> {
  const sizes = { segmentBytes: 64 * 1024, maxRecordBytes: 8000, maxPendingBytes: 200_000 };
  return FileAppendLog.open({ ...sizes, directory: 'faulty', name: 'faulty', files: disk, clock, syncBy });
}

/** Appends, drops and waits at random until the disk dies or enough was done. */
async function work(
  log: FileAppendLog,
  ledger: Ledger,
  random: SeededRandom,
  clock: FakeClock,
): Promise<void> {
  let failed = false;
  // Records of one size lie where cut ones lay before: what was not erased would fit in again.
  const uniform = random.oneIn(2);
  for (let turn = 0; turn < 12 && !failed; turn++) {
    const appends: Promise<unknown>[] = [];
    for (let count = 1 + random.below(12); count > 0; count--) {
      const size = random.oneIn(3) ? random.below(8000) : random.below(300);
      const kept = uniform ? 1000 : 8000;
      const position = log.nextPosition;
      const text = String.fromCharCode(33 + random.below(90)).repeat(uniform ? kept : size) + position;
      const data = Buffer.from(text.slice(-kept), 'latin1');
      const append = log.append(data);
      if (log.nextPosition > position) ledger.appended.set(position, data.toString('latin1'));
      appends.push(
        append.then(
          (at) => {
            ledger.acknowledged = Math.max(ledger.acknowledged, at + 1);
          },
          () => {
            failed = true;
          },
        ),
      );
    }
    if (!random.oneIn(4)) await Promise.all(appends);
    if (random.oneIn(4)) {
      ledger.dropped = Math.max(ledger.dropped, log.nextPosition - random.below(20));
      await log.dropBefore(ledger.dropped).catch(() => undefined);
    }
    if (random.oneIn(4)) clock.advance(50);
    if (turn === 11) await Promise.all(appends);
  }
}

describe('a file log on a faulty disk', () => {
  it.each([
    ['crashes', {}],
    ['crashes, with short writes', { shortWriteOneIn: 3 }],
  ] as [string, DiskFaults][])('survives %s at any call', async (_, faults) => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const random = new SeededRandom(seed);
      const clock = new FakeClock();
      const ledger = new Ledger();
      let disk = new FaultyDisk(random, { ...faults, crashAt: 1 + random.below(120) });
      for (let session = 0; session < SESSIONS; session++) {
        const trace = `seed ${seed}, session ${session}`;
        let log: FileAppendLog | undefined;
        try {
          log = await open(disk, clock, random.oneIn(2) ? 'write' : 'fdatasync');
        } catch (error) {
          // Only a machine that went down while opening may refuse.
          expect({ trace, error: disk.crashed ? undefined : error }).toEqual({ trace, error: undefined });
        }
        if (log !== undefined && !disk.crashed) {
          await ledger.check(log, trace);
          await work(log, ledger, random, clock);
        }
        if (log !== undefined && random.oneIn(3)) await log.close().catch(() => undefined);
        const next = { ...faults, crashAt: 1 + random.below(120) };
        disk = random.oneIn(4) ? disk.afterKill(next) : disk.afterCrash(next);
      }
      const last = await open(disk.afterCrash(), clock);
      await ledger.check(last, `seed ${seed}, end`);
      await last.close();
    }
  });

  it.each([
    ['fdatasync', (at: number): DiskFaults => ({ failSyncAt: at })],
    ['write', (at: number): DiskFaults => ({ failWriteAt: at })],
  ])('a failed %s is final, and acknowledges nothing', async (_, faultsAt) => {
    let failures = 0;
    for (let at = 2; at < 40; at++) {
      const random = new SeededRandom(at);
      const clock = new FakeClock();
      const ledger = new Ledger();
      const disk = new FaultyDisk(random, faultsAt(at));
      const told: string[] = [];
      const log = await FileAppendLog.open({
        directory: 'faulty',
        segmentBytes: 64 * 1024,
        maxRecordBytes: 8000,
        files: disk,
        clock,
        onFailed: (error) => told.push(error.code),
      }).catch(() => undefined);
      if (log === undefined) continue;
      await work(log, ledger, random, clock);
      const position = log.nextPosition;
      const code = await rejectionCode(log.append(Buffer.from('x')));
      if (log.nextPosition > position) ledger.appended.set(position, 'x');
      if (code === 'resolved') ledger.acknowledged = position + 1;
      if (code === 'log-failed') {
        failures += 1;
        expect(told).toEqual(['log-failed']);
        expect(await rejectionCode(log.read(1))).toBe('log-failed');
      }
      // The sync of the last mark may be the one that fails.
      await log.close().catch((error: unknown) => expect(isDwError(error, 'log-failed')).toBe(true));
      // The process starts again on the same machine, which takes the lost pages for written; then the power fails.
      const again = await open(disk.afterKill(), clock);
      await ledger.check(again, `fault ${at}, same machine`);
      const files = disk.afterKill();
      await again.close();
      const later = await open(files.afterCrash(), clock);
      await ledger.check(later, `fault ${at}, after the power failed`);
      await later.close();
    }
    expect(failures).toBeGreaterThan(10);
  });

  it('erases what a torn batch left: a new record in front does not bring it back', async () => {
    // Given one batch of four records, of which the disk lost the first
    const before = new FaultyDisk(new SeededRandom(1));
    const log = await open(before, new FakeClock());
    await Promise.all(['a', 'b', 'c', 'd'].map((letter) => log.append(Buffer.alloc(1000, letter))));
    const image = before.image();
    await log.close();
    for (const content of image.values()) content.fill(0, 4096, 4096 + 1024);
    // When the log is opened, gets one record of the same size, and the process is killed
    const disk = FaultyDisk.from(image);
    const torn = await open(disk, new FakeClock());
    expect(torn.nextPosition).toBe(1);
    await torn.append(Buffer.alloc(1000, 'x'));
    // Then that record is all there is
    const again = await open(disk.afterKill(), new FakeClock());
    expect(again.nextPosition).toBe(2);
    await Promise.all([torn.close(), again.close()]);
  });
});
