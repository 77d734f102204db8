// What every IAppendLog has to do, as a suite that runs against any implementation.

import type { IAppendLog, LogRecord } from '../persistence/append-log.js';
import type { ContractHooks } from './contract-hooks.js';
import { rejectionCode } from './contract-hooks.js';

/** One log under test. */
export interface AppendLogFixture {
  readonly log: IAppendLog;
  /** Largest record that the log takes, in bytes. */
  readonly maxRecordBytes: number;
  /** What the log lets wait for the disk, in bytes. Must be at least 4 and at most 64 of the largest records. */
  readonly maxPendingBytes: number;
  /** Closes the log and opens the same one again; leave out when it does not outlive its closing. */
  readonly reopen?: () => Promise<IAppendLog>;
  /** Removes all traces. Called once, whatever happened. */
  readonly dispose: () => Promise<void>;
}

/**
 * Defines the contract suite of append logs.
 * @param hooks the test framework's functions
 * @param create makes an empty log for one test
 */
export function appendLogContract(hooks: ContractHooks, create: () => Promise<AppendLogFixture>): void {
  const { describe, expect } = hooks;
  const it = (name: string, body: (fixture: AppendLogFixture) => Promise<void>): void => {
    hooks.it(name, async () => {
      const fixture = await create();
      try {
        await body(fixture);
      } finally {
        await fixture.dispose();
      }
    });
  };

  describe('append log contract', () => {
    it('starts at position 1 with nothing in it', async ({ log }) => {
      expect([log.firstPosition, log.nextPosition, log.durablePosition]).toEqual([1, 1, 1]);
      expect(await texts(log)).toEqual([]);
      expect(await log.read(1)).toBe(null);
    });

    it('numbers records in the order of calls, and all of one turn share one sync', async ({ log }) => {
      const before = log.statistics().syncs;
      const appends = Array.from({ length: 50 }, (_, index) => log.append(bytes(`r${index}`)));
      expect(log.nextPosition).toBe(51);
      expect(log.durablePosition).toBe(1);
      expect(log.statistics().pendingBytes > 0).toBe(true);
      expect(await Promise.all(appends)).toEqual(appends.map((_, index) => index + 1));
      expect(log.statistics().syncs - before).toBe(1);
      expect(log.statistics().appends).toBe(50);
      expect(log.statistics().pendingBytes).toBe(0);
      expect(log.durablePosition).toBe(51);
    });

    it('settles appends in order', async ({ log }) => {
      const settled: number[] = [];
      const appends = [1, 2, 3, 4].map(() => log.append(bytes('x')).then((at) => settled.push(at)));
      await Promise.all(appends);
      expect(settled).toEqual([1, 2, 3, 4]);
    });

    it('shows nothing that is not durable', async ({ log }) => {
      const append = log.append(bytes('x'));
      expect(await readText(log, log.nextPosition)).toBe(null);
      await append;
      expect(await readText(log, 1)).toBe('x');
    });

    it('joins the parts of a record, and keeps empty records', async ({ log }) => {
      await Promise.all([
        log.append(bytes('a'), bytes(''), bytes('bc')),
        log.append(),
        log.append(bytes('d')),
      ]);
      expect(await texts(log)).toEqual(['abc', '', 'd']);
    });

    it('gives records of every size back as they were', async ({ log, maxRecordBytes }) => {
      const sizes = [0, 1, 7, 8, 9, 255, 4096, Math.floor(maxRecordBytes / 2), maxRecordBytes];
      for (const size of sizes) await log.append(pattern(size));
      for (const [index, size] of sizes.entries()) {
        const data = await log.read(index + 1);
        expect(data !== null && same(data, pattern(size))).toBe(true);
      }
    });

    it('gives copies: changing what was read changes nothing', async ({ log }) => {
      await log.append(bytes('abc'));
      (await log.read(1))?.fill(0);
      expect(await readText(log, 1)).toBe('abc');
    });

    it('refuses a record that is too large, and goes on', async ({ log, maxRecordBytes }) => {
      expect(await rejectionCode(log.append(pattern(maxRecordBytes), bytes('x')))).toBe(
        'log-record-too-large',
      );
      expect(await log.append(bytes('next'))).toBe(1);
    });

    it('refuses at once what would wait beyond its bound, and goes on', async (fixture) => {
      const { log, maxRecordBytes, maxPendingBytes } = fixture;
      const count = Math.ceil(maxPendingBytes / maxRecordBytes) + 1;
      const codes = await Promise.all(
        Array.from({ length: count }, () => rejectionCode(log.append(pattern(maxRecordBytes)))),
      );
      const taken = codes.filter((code) => code === 'resolved').length;
      expect(codes[0]).toBe('resolved');
      expect(codes.at(-1)).toBe('log-full');
      expect(await log.append(bytes('next'))).toBe(taken + 1);
    });

    it('scans from any position', async ({ log }) => {
      await Promise.all(['a', 'b', 'c', 'd'].map((text) => log.append(bytes(text))));
      expect(await texts(log, 3)).toEqual(['c', 'd']);
      expect(await texts(log, 5)).toEqual([]);
      expect(await texts(log, -7)).toEqual(['a', 'b', 'c', 'd']);
    });

    it('reads null outside of what it holds', async ({ log }) => {
      await log.append(bytes('a'));
      for (const position of [0, -1, 2, 1e9, 1.5, Number.NaN]) expect(await log.read(position)).toBe(null);
    });

    it('drops only what it was told to, never renumbers, and goes on', async ({ log }) => {
      const size = 1000;
      for (let round = 0; round < 10; round++) {
        await Promise.all(Array.from({ length: 50 }, () => log.append(pattern(size))));
      }
      await log.dropBefore(301);
      expect(log.firstPosition <= 301).toBe(true);
      const found = await positions(log);
      expect(found[0]).toBe(log.firstPosition);
      expect(found).toEqual(found.map((_, index) => log.firstPosition + index));
      expect(found.at(-1)).toBe(500);
      expect(await log.append(bytes('x'))).toBe(501);
      expect(await readText(log, 501)).toBe('x');
    });

    it('dropping more than there is keeps the numbering', async ({ log }) => {
      await log.append(bytes('a'));
      await log.dropBefore(1_000_000);
      expect(log.nextPosition).toBe(2);
      expect(log.firstPosition <= 2).toBe(true);
      expect(await log.append(bytes('b'))).toBe(2);
    });

    it('a barrier waits for everything before it', async ({ log }) => {
      await log.barrier();
      const append = log.append(bytes('a'));
      await log.barrier();
      expect(log.durablePosition).toBe(2);
      await append;
    });

    it('closing waits for appends, refuses what comes after, and may be repeated', async ({ log }) => {
      const append = log.append(bytes('a'));
      const closing = log.close();
      expect(await rejectionCode(log.append(bytes('b')))).toBe('log-closed');
      expect(await append).toBe(1);
      await closing;
      await log.close();
      expect(await rejectionCode(log.append(bytes('b')))).toBe('log-closed');
      expect(await rejectionCode(log.read(1))).toBe('log-closed');
      expect(await rejectionCode(log.barrier())).toBe('log-closed');
      expect(await rejectionCode(log.dropBefore(1))).toBe('log-closed');
      expect(await rejectionCode(texts(log))).toBe('log-closed');
    });

    it('opened again it holds what it held, and goes on numbering', async ({ log, reopen }) => {
      if (reopen === undefined) return;
      await Promise.all(['a', 'b', 'c'].map((text) => log.append(bytes(text))));
      const again = await reopen();
      expect(await texts(again)).toEqual(['a', 'b', 'c']);
      expect(await again.append(bytes('d'))).toBe(4);
      expect(await readText(again, 4)).toBe('d');
    });
  });
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Bytes that differ from place to place, so that a shift or a swap shows. */
function pattern(size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, index) => (index * 31 + (index >> 8)) & 0xff);
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

async function all(log: IAppendLog, from?: number): Promise<LogRecord[]> {
  const found: LogRecord[] = [];
  for await (const record of log.scan(from)) found.push(record);
  return found;
}

async function texts(log: IAppendLog, from?: number): Promise<string[]> {
  return (await all(log, from)).map(({ data }) => new TextDecoder().decode(data));
}

async function positions(log: IAppendLog): Promise<number[]> {
  return (await all(log)).map(({ position }) => position);
}

async function readText(log: IAppendLog, position: number): Promise<string | null> {
  const data = await log.read(position);
  return data === null ? null : new TextDecoder().decode(data);
}
