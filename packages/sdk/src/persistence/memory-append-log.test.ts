import { describe, expect, it } from 'vitest';

import { appendLogContract } from '../testing/append-log-contract.js';
import { rejectionCode } from '../testing/contract-hooks.js';
import { MemoryAppendLog } from './memory-append-log.js';

appendLogContract({ describe, it, expect }, async () => {
  const maxRecordBytes = 20_000;
  const maxPendingBytes = 80_000;
  const log = new MemoryAppendLog({ maxRecordBytes, maxPendingBytes });
  return { log, maxRecordBytes, maxPendingBytes, dispose: () => log.close() };
});

describe('MemoryAppendLog', () => {
  it('fails for good when its sync does, and tells once', async () => {
    const failures: string[] = [];
    let broken = false;
    const log = new MemoryAppendLog({
      sync: () => (broken ? Promise.reject(new Error('disk gone')) : Promise.resolve()),
      onFailed: (error) => failures.push(error.code),
    });
    await log.append(Buffer.from('kept'));
    broken = true;
    const codes = await Promise.all([1, 2].map(() => rejectionCode(log.append(Buffer.from('x')))));
    broken = false;
    expect(codes).toEqual(['log-failed', 'log-failed']);
    expect(log.durablePosition).toBe(2);
    expect(await rejectionCode(log.append(Buffer.from('y')))).toBe('log-failed');
    expect(await rejectionCode(log.barrier())).toBe('log-failed');
    expect(failures).toEqual(['log-failed']);
    await log.close();
  });

  it('refuses to hold more than it may', async () => {
    const log = new MemoryAppendLog({ maxBytes: 10 });
    await log.append(Buffer.alloc(10));
    expect(await rejectionCode(log.append(Buffer.alloc(1)))).toBe('log-full');
    await log.dropBefore(2);
    expect(await log.append(Buffer.alloc(1))).toBe(2);
  });
});
