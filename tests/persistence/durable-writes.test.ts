// Given a log that writes durably, when records are appended one after another, then each takes one write to a file that
// was opened with O_DSYNC, and nothing follows it: seen from outside, by strace (Debian package `strace`).

import { spawn } from 'node:child_process';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { afterAll, beforeAll, expect, it } from 'vitest';

import { ROOT } from '../support/processes.js';

const APPENDS = 60;
const LOG = pathToFileURL(join(ROOT, 'packages/sdk/dist/persistence/log/file-append-log.js')).href;
const SCRIPT = `
  const { FileAppendLog } = await import(${JSON.stringify(LOG)});
  const log = await FileAppendLog.open({ directory: process.argv[1], syncBy: process.argv[2] });
  for (let index = 0; index < ${APPENDS}; index++) await log.append(Buffer.alloc(200, index));
  await log.close();
`;

let root = '';
beforeAll(async () => {
  root = await fs.mkdtemp(join(tmpdir(), 'dw-durable-writes-'));
});
afterAll(() => fs.rm(root, { recursive: true, force: true }));

interface Calls {
  readonly writes: number;
  readonly syncs: number;
  readonly durableOpens: number;
}

async function callsOf(syncBy: 'write' | 'fdatasync'): Promise<Calls> {
  const trace = join(root, `${syncBy}.trace`);
  const node = [process.execPath, '--input-type=module', '-e', SCRIPT, join(root, syncBy), syncBy];
  const watched = ['-f', '-qq', '-y', '-o', trace, '-e', 'trace=openat,pwrite64,pwritev,pwritev2,fdatasync'];
  await new Promise<void>((resolve, reject) => {
    const child = spawn('strace', [...watched, ...node], {
      env: { ...process.env, UV_USE_IO_URING: '0', NODE_OPTIONS: '' },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    child.once('error', (cause) => reject(new Error('strace is needed: apt-get install strace', { cause })));
    child.once('close', (code) => (code === 0 ? resolve() : reject(new Error(`it ended with ${code}`))));
  });
  // A call that another thread interrupted is told twice; the first line names it.
  const lines = (await fs.readFile(trace, 'utf8')).split('\n').filter((line) => !line.includes('resumed>'));
  const ofLog = lines.filter((line) => line.includes(`${join(root, syncBy)}/`));
  return {
    writes: ofLog.filter((line) => /^\d+ +pwrite/.test(line)).length,
    syncs: ofLog.filter((line) => /^\d+ +fdatasync\(/.test(line)).length,
    durableOpens: lines.filter((line) => /openat\(.*\/proc\/self\/fd\/.*O_DSYNC/.test(line)).length,
  };
}

// Elsewhere there is no way to open a file once more by its descriptor, and a sync follows each write.
it.skipIf(process.platform !== 'linux')('each append is one write and no sync', async () => {
  const durable = await callsOf('write');
  const plain = await callsOf('fdatasync');
  expect(durable.durableOpens).toBe(1);
  expect(plain.durableOpens).toBe(0);
  expect(plain.syncs).toBeGreaterThanOrEqual(APPENDS);
  // Syncs of a new file, of the marks that tell how long it is, and of marks that were written while the log was idle.
  expect(durable.syncs).toBeLessThan(APPENDS / 2);
  expect(durable.writes).toBeGreaterThanOrEqual(APPENDS);
  expect(durable.writes).toBeLessThan(APPENDS * 1.5);
});
