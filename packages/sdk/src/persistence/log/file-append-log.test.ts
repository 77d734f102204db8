import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { appendLogContract } from '../../testing/append-log-contract.js';
import { rejectionCode } from '../../testing/contract-hooks.js';
import { FileAppendLog } from './file-append-log.js';

appendLogContract({ describe, it, expect }, async () => {
  const directory = await fs.mkdtemp(join(tmpdir(), 'dw-log-'));
  const options = {
    directory,
    name: 'test',
    segmentBytes: 64 * 1024,
    maxRecordBytes: 20_000,
    maxPendingBytes: 100_000,
  };
  let log = await FileAppendLog.open(options);
  return {
    log,
    maxRecordBytes: options.maxRecordBytes,
    maxPendingBytes: options.maxPendingBytes,
    reopen: async () => {
      await log.close();
      log = await FileAppendLog.open(options);
      return log;
    },
    dispose: async () => {
      await log.close();
      await fs.rm(directory, { recursive: true });
    },
  };
});

describe('FileAppendLog', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await fs.mkdtemp(join(tmpdir(), 'dw-log-'));
  });
  afterEach(() => fs.rm(directory, { recursive: true }));

  it('is open once only', async () => {
    const log = await FileAppendLog.open({ directory });
    expect(await rejectionCode(FileAppendLog.open({ directory }))).toBe('log-locked');
    await log.close();
    await (await FileAppendLog.open({ directory })).close();
  });

  it('refuses sizes that cannot work', async () => {
    const opened = FileAppendLog.open({ directory, maxRecordBytes: 1000, maxPendingBytes: 10 });
    expect(await rejectionCode(opened)).toBe('log-invalid-options');
    expect(await rejectionCode(FileAppendLog.open({ directory, segmentBytes: 1 }))).toBe(
      'log-invalid-options',
    );
  });

  it('drops whole files only, uses one of them again, and never takes its old bytes for records', async () => {
    const options = { directory, segmentBytes: 64 * 1024, maxRecordBytes: 1000 };
    let log = await FileAppendLog.open(options);
    for (let round = 0; round < 40; round++) {
      await Promise.all(Array.from({ length: 25 }, () => log.append(Buffer.alloc(1000, round))));
      await log.dropBefore(log.nextPosition - 30);
      expect(log.statistics().segments).toBeLessThan(4);
    }
    expect(await fs.readdir(directory)).toContain('spare');
    await log.close();
    log = await FileAppendLog.open(options);
    expect(log.nextPosition).toBe(1001);
    expect((await log.read(1000))?.[0]).toBe(39);
    await log.close();
  });

  it('passes over what is dropped during a scan', async () => {
    const log = await FileAppendLog.open({ directory, segmentBytes: 64 * 1024, maxRecordBytes: 1000 });
    await Promise.all(Array.from({ length: 300 }, () => log.append(Buffer.alloc(1000))));
    const seen: number[] = [];
    for await (const { position } of log.scan()) {
      seen.push(position);
      if (position === 5) await log.dropBefore(200);
    }
    expect(seen.at(-1)).toBe(300);
    expect(seen).toEqual([...new Set(seen)].sort((a, b) => a - b));
    expect(seen.length).toBeLessThan(300);
    await log.close();
  });

  it('keeps records of all sizes, in parts and mixed, larger than a chunk and than a file', async () => {
    const options = { directory, segmentBytes: 64 * 1024, maxRecordBytes: 1024 * 1024 };
    let log = await FileAppendLog.open(options);
    const sizes = [10, 40_000, 3, 300_000, 32_768, 32_769, 0, 1024 * 1024, 70_001, 5];
    const parts = sizes.map((size, index) => {
      const data = Buffer.from(Array.from({ length: size }, (_, at) => (at * (index + 3)) & 0xff));
      return [data.subarray(0, size / 3), data.subarray(size / 3, size / 2), data.subarray(size / 2)];
    });
    await Promise.all(parts.map((pieces) => log.append(...pieces)));
    for (const reopened of [false, true]) {
      if (reopened) {
        await log.close();
        log = await FileAppendLog.open(options);
      }
      for (const [index, pieces] of parts.entries()) {
        expect(Buffer.concat(pieces).equals((await log.read(index + 1)) ?? Buffer.alloc(1))).toBe(true);
      }
    }
    await log.close();
  });

  it('names damage that it meets while reading, with file and offset, and still reads the rest', async () => {
    const log = await FileAppendLog.open({ directory, segmentBytes: 64 * 1024 });
    await Promise.all(['one', 'two', 'three'].map((text) => log.append(Buffer.from(text))));
    const file = await fs.open(join(directory, '0000000000000001.log'), 'r+');
    await file.write(Buffer.from('X'), 0, 1, 4096 + 32 + 24);
    await file.close();
    await expect(log.read(2)).rejects.toMatchObject({
      code: 'log-damaged',
      details: { file: '0000000000000001.log', offset: 4096 + 32 },
    });
    expect(Buffer.from((await log.read(3)) ?? []).toString()).toBe('three');
    await log.close();
  });
});
