// How long a node's storage takes to open, by the size of its log, beside the time that plain reads of the same bytes
// take (in the order of the files, 1 MiB at a time, which is what checking every record at the start would cost at
// least). Both from the system's cache: the files were just written. Opening is measured three times, the median told.
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { FileNodeStorage } from '../packages/plugin-consensus/dist/storage/index.js';

const MIB = 1024 * 1024;
const LOG_BYTES = Number(process.env.RECOVERY_MIB ?? 1024) * MIB;
const LIMIT_SECONDS = 3;
const CONF = {
  voters: ['n1'],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  witnesses: [],
  autoLeave: false,
};
const OPENINGS = 3;

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

/** Fills three groups with `bytes` of entries of one size. */
async function fill(directory, bytes, entryBytes) {
  const storage = await FileNodeStorage.open({ directory, scrubBytesPerSecond: 0 });
  const ids = ['a', 'b', 'c'];
  for (const id of ids) await storage.openGroup(id, CONF);
  const perTurn = Math.max(1, Math.floor(MIB / entryBytes));
  const turns = Math.ceil(bytes / (perTurn * entryBytes * ids.length));
  const data = Buffer.alloc(entryBytes, 7);
  for (let turn = 0; turn < turns; turn++) {
    const term = 1 + Math.floor(turn / 50);
    await storage.write(
      ids.map((groupId) => ({
        groupId,
        snapshot: undefined,
        hardState: { term, vote: 'n1', commit: 0 },
        entries: Array.from({ length: perTurn }, (_, at) => ({
          index: turn * perTurn + at + 1,
          term,
          type: 'normal',
          data,
        })),
      })),
    );
  }
  await storage.close();
  return turns * perTurn * ids.length;
}

/** Reads every file below a directory, plainly. @returns [seconds, bytes]. */
async function readAll(directory) {
  const buffer = Buffer.allocUnsafe(MIB);
  let bytes = 0;
  const started = performance.now();
  for (const name of fs.readdirSync(directory, { recursive: true })) {
    const path = join(directory, name);
    if (!fs.statSync(path).isFile()) continue;
    const file = await fs.promises.open(path);
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length);
      if (bytesRead === 0) break;
      bytes += bytesRead;
    }
    await file.close();
  }
  return [(performance.now() - started) / 1000, bytes];
}

async function open(directory, entries) {
  const started = performance.now();
  const storage = await FileNodeStorage.open({ directory, scrubBytesPerSecond: 0 });
  const seconds = (performance.now() - started) / 1000;
  let found = 0;
  for (const id of storage.groupIds) found += (await storage.openGroup(id, CONF)).lastIndex();
  await storage.close();
  if (found !== entries || storage.damagedGroups().length > 0)
    throw new Error(`${found} of ${entries} entries are there`);
  return seconds;
}

/** Measures and returns the table. */
export async function run() {
  const rows = [];
  for (const [bytes, entryBytes] of [
    [LOG_BYTES / 4, 256],
    [LOG_BYTES, 256],
    [LOG_BYTES, 4096],
  ]) {
    const root = fs.mkdtempSync(join(tmpdir(), 'dw-bench-recovery-'));
    try {
      const directory = join(root, 'node');
      const entries = await fill(directory, bytes, entryBytes);
      const openings = [];
      for (let time = 0; time < OPENINGS; time++) openings.push(await open(directory, entries));
      const [reading, read] = await readAll(directory);
      const seconds = median(openings);
      rows.push({
        name: `open ${Math.round(bytes / MIB)} MiB in entries of ${entryBytes} B`,
        value: seconds,
        unit: 's',
        beside: `plain reads of its ${Math.round(read / MIB)} MiB: ${reading.toFixed(2)} s`,
        ratio: seconds / reading,
        ...(bytes === LOG_BYTES ? { target: `< ${LIMIT_SECONDS} s`, ok: seconds < LIMIT_SECONDS } : {}),
      });
    } finally {
      fs.rmSync(root, { recursive: true, force: true });
    }
  }
  return { title: 'Opening the Raft storage of a node', rows };
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { print } = await import('./table.mjs');
  print(await run());
}
