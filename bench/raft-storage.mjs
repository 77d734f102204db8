// Durable turns of the Raft storage beside a bare probe of the same machine: one write and one fdatasync for the same
// bytes of entries, without journal, checksums, indexes or the segments that are written behind. Then random reads of
// sealed segments, mapped and by position. Storage and probe take turns in one run, so that a disk that changes its pace
// changes it for both.
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { FileNodeStorage } from '../packages/plugin-consensus/dist/storage/index.js';

const ENTRY_BYTES = 256;
const GROUPS = ['a', 'b', 'c'];
const ROUNDS = 7;
const TARGET = 0.7;
const CONF = {
  voters: ['n1'],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  witnesses: [],
  autoLeave: false,
};

const write = (fd, bytes, at) =>
  new Promise((done, fail) => {
    fs.write(fd, bytes, 0, bytes.length, at, (error, count) => (error ? fail(error) : done(count)));
  });
const fdatasync = (fd) =>
  new Promise((done, fail) => {
    fs.fdatasync(fd, (error) => (error ? fail(error) : done()));
  });
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

/** Appends to three groups in turn, a turn at a time. */
class Writer {
  constructor(storage) {
    this.storage = storage;
    this.next = new Map(GROUPS.map((id) => [id, 1]));
  }

  /** Writes turns of `perTurn` entries, spread over the groups, `inFlight` at a time. @returns entries a second. */
  async run(turns, perTurn, inFlight) {
    let next = 0;
    const writer = async () => {
      while (next < turns) await this.storage.write(this.#turn(next++, perTurn));
    };
    const started = performance.now();
    await Promise.all(Array.from({ length: inFlight }, writer));
    return (turns * perTurn) / ((performance.now() - started) / 1000);
  }

  #turn(turn, perTurn) {
    const groups = perTurn < GROUPS.length ? [GROUPS[turn % GROUPS.length]] : GROUPS;
    return groups.map((groupId, at) => {
      const count = Math.floor(perTurn / groups.length) + (at < perTurn % groups.length ? 1 : 0);
      const from = this.next.get(groupId);
      const entries = Array.from({ length: count }, (_, i) => ({
        index: from + i,
        term: 1,
        type: 'normal',
        data: Buffer.alloc(ENTRY_BYTES, i),
      }));
      this.next.set(groupId, from + count);
      return { groupId, entries, snapshot: undefined, hardState: { term: 1, vote: 'n1', commit: from - 1 } };
    });
  }
}

async function probe(directory, turns, perTurn) {
  const batch = Buffer.alloc(perTurn * ENTRY_BYTES, 7);
  const path = join(directory, 'probe');
  const fd = fs.openSync(path, 'w+');
  try {
    const started = performance.now();
    for (let turn = 0; turn < turns; turn++) {
      await write(fd, batch, turn * batch.length);
      await fdatasync(fd);
    }
    return (turns * perTurn) / ((performance.now() - started) / 1000);
  } finally {
    fs.closeSync(fd);
    fs.rmSync(path);
  }
}

async function measureWrites(directory, rows) {
  const storage = await FileNodeStorage.open({ directory: join(directory, 'node') });
  try {
    for (const id of GROUPS) await storage.openGroup(id, CONF);
    const writer = new Writer(storage);
    await writer.run(800, 256, 1);
    // One turn at a time shows what a turn costs; two, the next being made while one is synced, is how the engine works.
    for (const [perTurn, turns, inFlight] of [
      [1, 300, 1],
      [16, 300, 1],
      [64, 250, 1],
      [256, 250, 1],
      [256, 250, 2],
    ]) {
      const seen = { storage: [], probe: [] };
      for (let round = 0; round < ROUNDS; round++) {
        seen.probe.push(await probe(directory, turns, perTurn));
        seen.storage.push(await writer.run(turns, perTurn, inFlight));
      }
      // Each round is compared with the probe beside it; the median of the ratios is what counts.
      const ratio = median(seen.storage.map((value, index) => value / seen.probe[index]));
      const name = `durable turns of ${perTurn} × ${ENTRY_BYTES} bytes over ${GROUPS.length} groups, ${inFlight} in flight`;
      const row = { name, value: Math.round(median(seen.storage)), unit: 'entries/s', ratio };
      rows.push(inFlight === 2 ? { ...row, target: TARGET, ok: ratio >= TARGET } : row);
      rows.push({
        name: '  bare probe: one write and one fdatasync for the same bytes',
        value: Math.round(median(seen.probe)),
        unit: 'entries/s',
      });
    }
  } finally {
    await storage.close();
  }
}

/** Microseconds for a random read of one entry. */
function readOnce(group, from, to, count) {
  let seed = 7;
  const started = performance.now();
  for (let at = 0; at < count; at++) {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    const index = from + (seed % (to - from));
    group.entries(index, index + 1, 0);
  }
  return ((performance.now() - started) * 1000) / count;
}

async function measureReads(directory, rows) {
  const seen = {};
  for (const mappedSegments of [3, 0]) {
    const place = join(directory, `reads-${mappedSegments}`);
    const storage = await FileNodeStorage.open({ directory: place, mappedSegments, cacheBytes: 0 });
    try {
      const group = await storage.openGroup('a', CONF);
      for (let at = 0; at < 31; at++) {
        const entries = Array.from({ length: 1_000 }, (_, i) => ({
          index: at * 1_000 + i + 1,
          term: 1,
          type: 'normal',
          data: Buffer.alloc(ENTRY_BYTES, i),
        }));
        await storage.write([{ groupId: 'a', entries, snapshot: undefined, hardState: undefined }]);
      }
      // A snapshot is made behind all that is queued: then everything is in segments.
      await group.saveSnapshot({ index: 1, term: 1, conf: CONF }, []);
      readOnce(group, 1, 30_000, 20_000);
      seen[mappedSegments] = median([1, 2, 3, 4, 5].map(() => readOnce(group, 1, 30_000, 20_000)));
    } finally {
      await storage.close();
    }
  }
  rows.push({
    name: 'random reads of one entry, mapped (ratio: speed beside by position)',
    value: seen[3],
    unit: 'µs',
    ratio: seen[0] / seen[3],
  });
  rows.push({ name: '  the same by position', value: seen[0], unit: 'µs' });
}

/** Runs the measurement. @returns rows of a table. */
export async function run() {
  const directory = fs.mkdtempSync(join(tmpdir(), 'dw-bench-raft-storage-'));
  const rows = [];
  try {
    await measureWrites(directory, rows);
    await measureReads(directory, rows);
  } finally {
    fs.rmSync(directory, { recursive: true, force: true });
  }
  return { title: 'Raft storage: durable turns beside a bare write + fdatasync of the same bytes', rows };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { title, rows } = await run();
  console.log(title);
  console.table(rows);
}
