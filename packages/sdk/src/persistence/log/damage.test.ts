// Bytes that change behind the log's back: whatever is hit, opening either names it or gives back every record as it
// was. Acknowledged data is never dropped in silence, and nothing is made up.
import { describe, expect, it } from 'vitest';

import { isDwError } from '../../errors/index.js';
import { FakeClock } from '../../testing/fake-clock.js';
import { FaultyDisk, SeededRandom } from '../testing/faulty-disk.js';
import { FileAppendLog } from './file-append-log.js';
import { HEADER_BLOCK_BYTES } from './log-format.js';

const OPTIONS = { directory: 'disk', name: 'damaged', segmentBytes: 64 * 1024, maxRecordBytes: 1000 };
const RECORDS = ['first', 'second record', '', 'fourth: a bit longer than the others', 'last one'];
const FIRST = '0000000000000001.log';

type Ending = 'closed' | 'killed when idle' | 'killed at once';

/** A small log, each record a batch of its own, as it is on disk at the end. */
async function build(ending: Ending): Promise<Map<string, Buffer>> {
  const disk = new FaultyDisk(new SeededRandom(1));
  const clock = new FakeClock();
  const log = await FileAppendLog.open({ ...OPTIONS, files: disk, clock });
  for (const text of RECORDS) await log.append(Buffer.from(text));
  if (ending === 'killed when idle') {
    await settle();
    clock.advance(1_000);
    await settle();
  }
  const image = disk.image();
  await log.close();
  return ending === 'closed' ? disk.image() : image;
}

/** Lets the commit loop, which nobody waits for, come to its end. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

/** Opens an image. @returns the records as texts, or the message of the damage. */
async function openImage(image: ReadonlyMap<string, Buffer>): Promise<readonly string[] | string> {
  try {
    const log = await FileAppendLog.open({
      ...OPTIONS,
      files: FaultyDisk.from(image),
      clock: new FakeClock(),
    });
    const texts: string[] = [];
    for await (const { data } of log.scan()) texts.push(Buffer.from(data).toString());
    await log.close();
    return texts;
  } catch (error) {
    if (!isDwError(error, 'log-damaged')) throw error;
    return error.message;
  }
}

function changed(
  image: ReadonlyMap<string, Buffer>,
  change: (content: Buffer) => Buffer,
): Map<string, Buffer> {
  return new Map(
    [...image].map(([name, content]) => [name, name === FIRST ? change(Buffer.from(content)) : content]),
  );
}

/** Where the last record ends: nothing behind it means anything. */
function usedBytes(content: Buffer): number {
  let end = content.byteLength;
  while (end > 0 && content[end - 1] === 0) end -= 1;
  return end;
}

/** Offsets that mean something: the header, both marks, and all records; or every `step`th of them. */
function offsets(content: Buffer, step = 1): number[] {
  const head = Array.from({ length: 2048 }, (_, offset) => offset).filter((offset) => offset % 512 < 96);
  const records = Array.from(
    { length: usedBytes(content) - HEADER_BLOCK_BYTES },
    (_, i) => HEADER_BLOCK_BYTES + i,
  );
  const all = [...head, ...records];
  return all.filter((_, index) => index % step === 0);
}

describe('damage', () => {
  it.each(['closed', 'killed when idle'] as const)(
    'a flipped bit anywhere in a log that was %s is named, or harmless',
    async (ending) => {
      const image = await build(ending);
      let named = 0;
      for (const offset of offsets(image.get(FIRST) ?? Buffer.alloc(0))) {
        const flipped = changed(image, (content) => {
          content[offset] = (content[offset] ?? 0) ^ (1 << (offset % 8));
          return content;
        });
        const result = await openImage(flipped);
        if (typeof result === 'string') {
          named += 1;
          expect(result).toContain(FIRST);
          expect(result).toMatch(/offset \d+: expected .+, found .+/);
        } else {
          expect({ offset, result }).toEqual({ offset, result: RECORDS });
        }
      }
      // All bytes of the header and of the records but the padding.
      expect(named).toBeGreaterThan(200);
    },
  );

  it('killed before a mark could be written, only the last batch can be taken for torn', async () => {
    const image = await build('killed at once');
    const allButLast = RECORDS.slice(0, -1);
    for (const offset of offsets(image.get(FIRST) ?? Buffer.alloc(0), 3)) {
      const flipped = changed(image, (content) => {
        content[offset] = (content[offset] ?? 0) ^ 0x80;
        return content;
      });
      const result = await openImage(flipped);
      if (typeof result === 'string') continue;
      expect({ offset, result }).toEqual({
        offset,
        result: result.length < RECORDS.length ? allButLast : RECORDS,
      });
    }
  });

  it.each(['closed', 'killed when idle', 'killed at once'] as const)(
    'a file cut short is named, wherever it was cut, in a log that was %s',
    async (ending) => {
      const image = await build(ending);
      const length = image.get(FIRST)?.byteLength ?? 0;
      const used = usedBytes(image.get(FIRST) ?? Buffer.alloc(0));
      const cuts = Array.from({ length: used - HEADER_BLOCK_BYTES + 40 }, (_, i) => HEADER_BLOCK_BYTES + i);
      for (const cut of [0, 1, 79, 512, 1100, ...cuts, length - 1]) {
        const result = await openImage(changed(image, (content) => content.subarray(0, cut)));
        expect({ cut, result: typeof result }).toEqual({ cut, result: 'string' });
      }
    },
  );

  it.each([
    ['closed', true],
    ['killed at once', false],
  ] as const)(
    'a tail of zeros, of every length of the last record, in a log that was %s',
    async (ending, named) => {
      const image = await build(ending);
      const used = usedBytes(image.get(FIRST) ?? Buffer.alloc(0));
      const last = used - 8 - 24;
      for (let cut = last; cut < used; cut++) {
        const result = await openImage(changed(image, (content) => content.fill(0, cut, used)));
        if (named) expect(typeof result).toBe('string');
        else expect(result).toEqual(RECORDS.slice(0, -1));
      }
    },
  );

  it('names a segment that is missing, stale, or of another log', async () => {
    const disk = new FaultyDisk(new SeededRandom(1));
    const log = await FileAppendLog.open({ ...OPTIONS, files: disk, clock: new FakeClock() });
    for (let round = 0; round < 30; round++) {
      await Promise.all(Array.from({ length: 10 }, () => log.append(Buffer.alloc(900, round))));
    }
    const stale = disk.image();
    for (let round = 0; round < 30; round++) {
      await Promise.all(Array.from({ length: 10 }, () => log.append(Buffer.alloc(900, round))));
    }
    await log.close();
    const image = disk.image();
    const names = [...image.keys()].filter((name) => name.endsWith('.log')).sort();
    expect(names.length).toBeGreaterThan(5);
    for (const name of names) {
      const without = new Map(image);
      without.delete(name);
      expect({ name, result: typeof (await openImage(without)) }).toEqual({ name, result: 'string' });
    }
    const newestOfStale =
      [...stale.keys()]
        .filter((name) => name.endsWith('.log'))
        .sort()
        .at(-1) ?? '';
    const swapped = new Map(image).set(newestOfStale, stale.get(newestOfStale) ?? Buffer.alloc(0));
    expect(await openImage(swapped)).toContain(newestOfStale);
    const exchanged = new Map(image);
    exchanged.set(names[1] ?? '', image.get(names[2] ?? '') ?? Buffer.alloc(0));
    expect(await openImage(exchanged)).toContain(names[1]);
    const foreign = new Map(image).set(FIRST, (await build('closed')).get(FIRST) ?? Buffer.alloc(0));
    expect(typeof (await openImage(foreign))).toBe('string');
    expect((await openImage(image)).length).toBe(600);
  });
});
