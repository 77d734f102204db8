// Given a group's entries in segment files on the real disk.

import { mkdtemp, readFile, readdir, rm, stat, truncate, writeFile, chmod } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from '@datawarehouse/sdk';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Entry } from '../raft/types.js';
import { fileMapper } from './mapped-file.js';
import { NodeStorageFiles } from './node-storage-files.js';
import type { SegmentManifest } from './segment.js';
import {
  RECORD_HEADER_BYTES,
  SEGMENT_VERSION,
  encodeRecord,
  encodeSegmentHeader,
  parseSegmentName,
  recordSeed,
  segmentName,
} from './segment-format.js';
import { TermRuns } from './term-runs.js';
import { SegmentedRaftLog, segmentFilesByGroup } from './segmented-raft-log.js';

let directory = '';
let files = new NodeStorageFiles('.');
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'dw-segments-'));
  files = new NodeStorageFiles(directory);
});
afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

/** Terms of the entries that were made last. */
const termOf = new Map<number, number>();

function run(from: number, to: number, term = 1): Entry[] {
  for (let index = from; index <= to; index++) termOf.set(index, term);
  return Array.from({ length: to - from + 1 }, (_, at) => ({
    index: from + at,
    term,
    type: 'normal',
    data: Buffer.from(`${term}/${from + at}`),
  }));
}

async function open(
  manifests: readonly SegmentManifest[],
  mapped = true,
  entriesPerSegment = 10,
  hot = 3,
): Promise<{ log: SegmentedRaftLog; terms: TermRuns }> {
  const terms = new TermRuns();
  const log = await SegmentedRaftLog.open(
    files,
    'g',
    {
      entriesPerSegment,
      maxSegmentBytes: 1_000_000,
      mappedSegments: () => hot,
      mapper: () => (mapped ? fileMapper() : undefined),
    },
    manifests,
    segmentFilesByGroup(await readdir(directory)).get('g') ?? [],
    (manifests.at(-1)?.last ?? 0) + 1,
    (index, term) => terms.push(index, term),
  );
  return { log, terms };
}

function texts(log: SegmentedRaftLog, from: number, to: number, maxBytes = Infinity): string[] {
  const found: Entry[] = [];
  log.read(from, to + 1, maxBytes, found, (index) => termOf.get(index));
  return found.map(({ index, term, data }) => {
    expect(`${term}/${index}`).toBe(Buffer.from(data).toString());
    return Buffer.from(data).toString();
  });
}

const wanted = (from: number, to: number, term = 1): string[] =>
  run(from, to, term).map(({ data }) => String(data));

it('names files by group and first index, and knows them again whatever the group is called', () => {
  expect(segmentName('orders', 10_001)).toBe('raft-log-orders-0000010001.seg');
  expect(segmentName('a', 12_345_678_901)).toBe('raft-log-a-12345678901.seg');
  for (const [groupId, start] of [
    ['a', 1],
    ['a-0000000001', 7],
    ['x.y_z', 99_999_999_999],
  ] as const) {
    expect(parseSegmentName(segmentName(groupId, start))).toEqual({ groupId, start });
  }
  expect(parseSegmentName('raft-log-a-1.seg')).toBeUndefined();
});

describe.each([true, false])('read with maps: %s', (mapped) => {
  it('gives back every entry, across segments and after opening again', async () => {
    const { log } = await open([], mapped);
    await log.append(run(1, 57));
    await log.sync();
    expect(log.mappedSegments).toBe(mapped ? 3 : 0);
    expect(texts(log, 1, 57)).toEqual(wanted(1, 57));
    for (let index = 1; index <= 57; index++) expect(texts(log, index, index)).toEqual(wanted(index, index));
    expect(texts(log, 3, 57, 0)).toEqual(wanted(3, 3));
    expect(texts(log, 8, 57, 150).length).toBeLessThan(8);
    const { manifests } = log;
    await log.close();
    const again = await open(manifests, mapped);
    expect([1, 30, 57].map((index) => again.terms.at(index))).toEqual([1, 1, 1]);
    expect(texts(again.log, 1, 57)).toEqual(wanted(1, 57));
    expect(again.log.mappedSegments).toBe(mapped ? 3 : 0);
    await again.log.close();
  });

  it('never hands out a mapped page: what was read can be written to', async () => {
    const { log } = await open([], mapped);
    await log.append(run(1, 30));
    const found: Entry[] = [];
    log.read(25, 26, 0, found, () => 1);
    found[0]?.data.fill(0);
    expect(texts(log, 25, 25)).toEqual(wanted(25, 25));
    await log.close();
  });

  it('reads on while a segment is removed', async () => {
    const { log } = await open([], mapped);
    await log.append(run(1, 50));
    log.dropThrough(45);
    await log.removeObsolete();
    expect((await readdir(directory)).sort()).toEqual([segmentName('g', 41)]);
    expect(texts(log, 46, 50)).toEqual(wanted(46, 50));
    await log.close();
  });
});

it('seals full segments: read-only, and never written again', async () => {
  const { log } = await open([]);
  await log.append(run(1, 15));
  expect((await stat(join(directory, segmentName('g', 1)))).mode & 0o222).toBe(0);
  expect((await stat(join(directory, segmentName('g', 11)))).mode & 0o222).not.toBe(0);
  expect(log.manifests.map(({ start, last, sealed }) => [start, last, sealed])).toEqual([
    [1, 10, true],
    [11, 15, false],
  ]);
  await log.close();
});

it('voids a tail in the active segment by a mark, and writes nothing over', async () => {
  const { log } = await open([]);
  await log.append(run(1, 6));
  const before = await readFile(join(directory, segmentName('g', 1)));
  expect(await log.truncateFrom(4)).toBe(false);
  await log.append(run(4, 8, 2));
  const after = await readFile(join(directory, segmentName('g', 1)));
  expect(after.subarray(0, before.length)).toEqual(before);
  const { manifests } = log;
  await log.close();
  const again = await open(manifests);
  expect(texts(again.log, 1, 8)).toEqual([...wanted(1, 3), ...wanted(4, 8, 2)]);
  await again.log.close();
});

it('voids a tail in a sealed segment by the manifest, and leaves its file as it is', async () => {
  const { log } = await open([]);
  await log.append(run(1, 25));
  const sealed = await readFile(join(directory, segmentName('g', 1)));
  expect(await log.truncateFrom(8)).toBe(true);
  await log.removeObsolete();
  await log.append(run(8, 13, 2));
  expect(await readFile(join(directory, segmentName('g', 1)))).toEqual(sealed);
  expect(texts(log, 1, 13)).toEqual([...wanted(1, 7), ...wanted(8, 13, 2)]);
  const { manifests } = log;
  await log.close();
  const again = await open(manifests);
  expect(texts(again.log, 1, 13)).toEqual([...wanted(1, 7), ...wanted(8, 13, 2)]);
  await again.log.append(run(14, 40, 3));
  expect(texts(again.log, 12, 40)).toEqual([...wanted(12, 13, 2), ...wanted(14, 40, 3)]);
  await again.log.close();
});

it('goes on when segments are to be smaller or larger than they were', async () => {
  const { log } = await open([], true, 20);
  await log.append(run(1, 15));
  const { manifests } = log;
  await log.close();
  const smaller = await open(manifests, true, 4);
  await smaller.log.append(run(16, 30));
  expect(texts(smaller.log, 1, 30)).toEqual(wanted(1, 30));
  const next = smaller.log.manifests;
  await smaller.log.close();
  const larger = await open(next, true, 100);
  await larger.log.append(run(31, 70));
  expect(texts(larger.log, 1, 70)).toEqual(wanted(1, 70));
  await larger.log.close();
});

describe('what a checkpoint does not vouch for is cut', () => {
  it('bytes after those of the manifest, and files that it does not name', async () => {
    const { log } = await open([]);
    await log.append(run(1, 5));
    const { manifests } = log;
    await log.append(run(6, 35));
    await log.close();
    const again = await open(manifests);
    expect(await readdir(directory)).toEqual([segmentName('g', 1)]);
    expect(again.terms.starts()).toEqual([{ index: 1, term: 1 }]);
    await again.log.append(run(6, 12, 2));
    expect(texts(again.log, 1, 12)).toEqual([...wanted(1, 5), ...wanted(6, 12, 2)]);
    await again.log.close();
  });
});

describe('what a checkpoint vouches for and is not there is damage, and named', () => {
  async function written(): Promise<readonly SegmentManifest[]> {
    const { log } = await open([]);
    await log.append(run(1, 15));
    const { manifests } = log;
    await log.close();
    for (const name of await readdir(directory)) await chmod(join(directory, name), 0o600);
    return manifests;
  }

  it.each([
    ['sealed', 1],
    ['active', 11],
  ] as const)('any flipped bit of the %s segment, when it is opened or looked over', async (kind, start) => {
    const manifests = await written();
    const path = join(directory, segmentName('g', start));
    const sound = await readFile(path);
    let atOnce = 0;
    for (let bit = 0; bit < sound.length * 8; bit += 37) {
      const bad = Buffer.from(sound);
      bad[bit >> 3] = (bad[bit >> 3] as number) ^ (1 << (bit & 7));
      await writeFile(path, bad);
      const named = {
        code: 'raft-log-damaged',
        message: expect.stringContaining(segmentName('g', start)) as unknown,
      };
      const opened = await open(manifests).catch((error: unknown) => {
        expect(error).toMatchObject(named);
        atOnce++;
        return undefined;
      });
      if (opened === undefined) continue;
      expect(kind).toBe('sealed');
      const looked = opened.log.sealed[0]?.verify(() => Promise.resolve());
      await expect(looked).rejects.toMatchObject(named);
      await opened.log.close();
    }
    expect(atOnce).toBeGreaterThan(10);
  });

  it('records of a sealed segment that are sound, but not those that were sealed', async () => {
    const manifests = await written();
    const path = join(directory, segmentName('g', 1));
    const { log } = await open(manifests);
    await log.sealed[0]?.verify(() => Promise.resolve());
    // What a lost write leaves behind: the record of an earlier term, in the same place.
    const bytes = await readFile(path);
    const at = bytes.indexOf('1/5') - RECORD_HEADER_BYTES;
    encodeRecord(bytes, at, recordSeed(SEGMENT_VERSION, 'g'), 'normal', 0, 5, Buffer.from('0/5'));
    await writeFile(path, bytes, { flag: 'r+' });
    await expect(log.sealed[0]?.verify(() => Promise.resolve())).rejects.toThrow(
      'not those that were sealed',
    );
    expect(() => texts(log, 5, 5)).toThrow('entry 5 has term 0, not 1');
    await log.close();
  });

  it('a record of another group that landed in the right place', async () => {
    const manifests = await written();
    const path = join(directory, segmentName('g', 1));
    const bytes = await readFile(path);
    const at = bytes.indexOf('1/5') - RECORD_HEADER_BYTES;
    encodeRecord(bytes, at, recordSeed(SEGMENT_VERSION, 'other'), 'normal', 1, 5, Buffer.from('1/5'));
    await writeFile(path, bytes);
    const { log } = await open(manifests);
    expect(() => texts(log, 5, 5)).toThrow('no sound record of entry 5');
    await expect(log.sealed[0]?.verify(() => Promise.resolve())).rejects.toThrow(
      'the checksum of a record fails',
    );
    await log.close();
  });

  it('a segment of the version before footers is read as it was', async () => {
    const header = encodeSegmentHeader('g', 1);
    header.writeUInt16LE(1, 4);
    header.writeUInt32LE(crc32(header.subarray(0, 20)), 20);
    const record = Buffer.alloc(RECORD_HEADER_BYTES + 3);
    encodeRecord(record, 0, recordSeed(1, 'g'), 'normal', 1, 1, Buffer.from('1/1'));
    const bytes = Buffer.concat([header, record]);
    await writeFile(join(directory, segmentName('g', 1)), bytes);
    const manifest = { start: 1, last: 1, bytes: bytes.length, footerBytes: 0 };
    const sealed = await open([{ ...manifest, sealed: true }]);
    expect(texts(sealed.log, 1, 1)).toEqual(wanted(1, 1));
    await sealed.log.sealed[0]?.verify(() => Promise.resolve());
    await sealed.log.close();
    const active = await open([{ ...manifest, sealed: false }]);
    await active.log.append(run(2, 12));
    expect(texts(active.log, 1, 12)).toEqual(wanted(1, 12));
    await active.log.sealed[0]?.verify(() => Promise.resolve());
    await active.log.close();
  });

  it.each([1, 11])('any missing end of the segment at %i', async (start) => {
    const manifests = await written();
    const path = join(directory, segmentName('g', start));
    for (let length = (await stat(path)).size - 1; length >= 0; length--) {
      await truncate(path, length);
      await expect(open(manifests)).rejects.toMatchObject({
        code: 'raft-log-damaged',
        details: { file: path, offset: length },
      });
    }
    await rm(path);
    await expect(open(manifests)).rejects.toMatchObject({
      code: 'raft-log-damaged',
      details: { file: path },
    });
  });

  it.each([true, false])('a record that went bad since, when it is read (maps: %s)', async (mapped) => {
    const manifests = await written();
    const { log } = await open(manifests, mapped);
    const path = join(directory, segmentName('g', 1));
    await chmod(path, 0o600);
    const bytes = await readFile(path);
    const at = bytes.indexOf('1/5');
    bytes[at] = 0;
    await writeFile(path, bytes, { flag: 'r+' });
    expect(texts(log, 4, 4)).toEqual(wanted(4, 4));
    expect(() => texts(log, 5, 5)).toThrow(`${path} at offset`);
    await log.close();
  });
});
