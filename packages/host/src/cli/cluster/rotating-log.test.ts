import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RotatingLog } from './rotating-log.js';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'dw-log-'));
});
afterEach(() => rm(directory, { recursive: true }));

const end = (log: RotatingLog): Promise<void> => new Promise((resolve) => log.end(() => resolve()));

describe('RotatingLog', () => {
  it('keeps the file and the one before it within the bound', async () => {
    const path = join(directory, 'n1.log');
    const log = new RotatingLog(path, 30);
    for (let i = 1; i <= 9; i++) log.write(`line number ${i}\n`);
    await end(log);
    expect(await readFile(`${path}.1`, 'utf8')).toBe('line number 7\nline number 8\n');
    expect(await readFile(path, 'utf8')).toBe('line number 9\n');
    expect(log.tail(2)).toBe('line number 8\nline number 9');
  });

  it('goes on where an earlier run stopped', async () => {
    const path = join(directory, 'n1.log');
    for (const text of ['first\n', 'second\n', 'third, which is long\n']) {
      const log = new RotatingLog(path, 20);
      log.write(text);
      await end(log);
    }
    expect(await readFile(`${path}.1`, 'utf8')).toBe('first\nsecond\n');
    expect(await readFile(path, 'utf8')).toBe('third, which is long\n');
  });

  it('loses lines rather than fail when it cannot be written', async () => {
    const log = new RotatingLog(join(directory, 'missing', 'n1.log'));
    log.on('error', () => {});
    log.write('lost\n');
    await end(log);
    expect(log.tail(1)).toBe('lost');
  });
});
