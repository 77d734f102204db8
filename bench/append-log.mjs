// Durable appends of the file log beside a bare probe of the same machine: one writev and one fdatasync for the same
// bytes, without log, checksums or promises for each record. Log and probes take turns in one run, so that a disk
// that changes its pace changes it for all.
import { mkdtempSync, rmSync } from 'node:fs';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { FileAppendLog } from '@datawarehouse/sdk';

const RECORD_BYTES = 256;
const ROUNDS = 7;
/** Small enough that each round fills one or more: the steady state, in which files are let go and used again. */
const SEGMENT_BYTES = 16 * 1024 * 1024;
const KEPT_RECORDS = 10_000;
const TARGET = 0.8;

const writev = (fd, pieces, at) =>
  new Promise((done, fail) => {
    fs.writev(fd, pieces, at, (error, count) => (error ? fail(error) : done(count)));
  });
const fdatasync = (fd) =>
  new Promise((done, fail) => {
    fs.fdatasync(fd, (error) => (error ? fail(error) : done()));
  });

/** Appends `count` records from `inFlight` writers. @returns records a second. */
async function appendAll(log, count, inFlight) {
  const record = Buffer.alloc(RECORD_BYTES, 7);
  let left = count;
  const writer = async () => {
    while (left-- > 0) {
      const position = await log.append(record);
      if (position % KEPT_RECORDS === 0) await log.dropBefore(position - KEPT_RECORDS);
    }
  };
  const started = performance.now();
  await Promise.all(Array.from({ length: inFlight }, writer));
  return count / ((performance.now() - started) / 1000);
}

/** Writes the same batches bare. With `preallocated`, over zeros that are on disk; else at the end of a growing file. */
async function probe(directory, count, inFlight, preallocated) {
  const batch = Buffer.alloc(inFlight * RECORD_BYTES, 7);
  const batches = Math.ceil(count / inFlight);
  const path = join(directory, 'probe');
  const fd = fs.openSync(path, 'w+');
  try {
    if (preallocated) {
      fs.writeSync(fd, Buffer.alloc(batches * batch.length), 0, batches * batch.length, 0);
      fs.fdatasyncSync(fd);
    }
    const started = performance.now();
    for (let index = 0; index < batches; index++) {
      await writev(fd, [batch], index * batch.length);
      await fdatasync(fd);
    }
    return (batches * inFlight) / ((performance.now() - started) / 1000);
  } finally {
    fs.closeSync(fd);
    fs.rmSync(path);
  }
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

/** Runs the measurement. @returns rows of a table. */
export async function run() {
  const directory = mkdtempSync(join(tmpdir(), 'dw-bench-log-'));
  const log = await FileAppendLog.open({
    directory: join(directory, 'log'),
    name: 'bench',
    segmentBytes: SEGMENT_BYTES,
  });
  const rows = [];
  try {
    // Once around, so that there is a file to use again.
    await appendAll(log, 100_000, 256);
    for (const [inFlight, count] of [
      [1, 400],
      [16, 6_000],
      [64, 20_000],
      [256, 50_000],
    ]) {
      const seen = { log: [], bare: [], growing: [] };
      for (let round = 0; round < ROUNDS; round++) {
        seen.bare.push(await probe(directory, count, inFlight, true));
        seen.log.push(await appendAll(log, count, inFlight));
        seen.growing.push(await probe(directory, count, inFlight, false));
      }
      // Each round is compared with the probe beside it; the median of the ratios is what counts.
      const ratioTo = (probe) => median(seen.log.map((value, index) => value / seen[probe][index]));
      const row = {
        name: `${RECORD_BYTES}-byte appends, ${inFlight} in flight (ratio to the bare probe)`,
        value: Math.round(median(seen.log)),
        unit: 'records/s',
        ratio: ratioTo('growing'),
      };
      rows.push(inFlight === 256 ? { ...row, target: TARGET, ok: row.ratio >= TARGET } : row);
      rows.push({
        name: '  bare probe: the same batches at the end of a file',
        value: Math.round(median(seen.growing)),
        unit: 'records/s',
      });
      rows.push({
        name: '  the same batches over zeros written before (ratio of the log to it)',
        value: Math.round(median(seen.bare)),
        unit: 'records/s',
        ratio: ratioTo('bare'),
      });
    }
  } finally {
    await log.close();
    rmSync(directory, { recursive: true, force: true });
  }
  return { title: 'Append log: durable appends beside a bare write + fdatasync of the same batches', rows };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { title, rows } = await run();
  console.log(title);
  console.table(rows);
}
