// Given a log that takes only so much at a time, when more is appended, then it waits its turn and nothing overtakes.

import { MemoryAppendLog } from '@datawarehouse/sdk';
import { expect, it } from 'vitest';
import { JournalWriter } from './journal-writer.js';

it('gives the log at most 16 MiB at once, and keeps the order', async () => {
  const held: (() => void)[] = [];
  const log = new MemoryAppendLog({ sync: () => new Promise((resolve) => held.push(resolve)) });
  const journal = new JournalWriter(log);
  const record = Buffer.alloc(6 * 1024 * 1024);
  const positions: number[] = [];
  const done = [1, 2, 3, 4].map(async () => positions.push(await journal.append([record])));
  const small = journal.append([Buffer.from('small')]).then((position) => positions.push(position));
  expect(log.nextPosition).toBe(3);
  expect(journal.pendingBytes).toBe(4 * record.length + 5);
  const release = setInterval(() => held.shift()?.(), 0);
  await Promise.all([...done, small]);
  clearInterval(release);
  expect(positions).toEqual([1, 2, 3, 4, 5]);
  expect(journal.pendingBytes).toBe(0);
});

it('takes a record larger than that when nothing else is under way', async () => {
  const journal = new JournalWriter(new MemoryAppendLog({ maxRecordBytes: 20_000_000 }));
  expect(await journal.append([Buffer.alloc(17_000_000)])).toBe(1);
});

it('fails everything that waits when the log fails', async () => {
  const log = new MemoryAppendLog({ sync: () => Promise.reject(new Error('EIO')) });
  const journal = new JournalWriter(log);
  const record = Buffer.alloc(10 * 1024 * 1024);
  const results = await Promise.allSettled([1, 2, 3].map(() => journal.append([record])));
  expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
});
