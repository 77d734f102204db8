// The script of the crash matrix: what the process that is killed does, and what there must be after any part of it.

/** Small files, so that a short run starts, seals, drops and recycles several. */
export const LOG_OPTIONS = { segmentBytes: 64 * 1024, maxRecordBytes: 8000 };
export const STORE_OPTIONS = { segmentBytes: 64 * 1024, maxValueBytes: 40_000 };

/** The bytes of the record at a position: no two positions have the same. */
export function recordAt(position) {
  return Buffer.alloc(100 + ((position * 1733) % 7000), `record ${position};`);
}

export const LOG_SCRIPT = [
  { append: 3 },
  { append: 12 },
  { append: 12 },
  { append: 14 },
  { drop: 26 },
  { append: 12 },
  { append: 12 },
  { drop: 48 },
  { append: 5 },
];

/** How many records the whole script appends. */
export const LOG_TOTAL = LOG_SCRIPT.reduce((sum, { append = 0 }) => sum + append, 0);

const value = (text, size) => Buffer.alloc(size, text);

/** One operation on the store, and the same on a plain map. */
const write = (path, data) => ({
  run: (store) => store.writeAsync(path, data),
  model: (map) => map.set(path, data),
});
const append = (path, data) => ({
  run: (store) => store.appendAsync(path, data),
  model: (map) => map.set(path, Buffer.concat([map.get(path) ?? Buffer.alloc(0), data])),
});
const remove = (path) => ({ run: (store) => store.deleteAsync(path), model: (map) => map.delete(path) });
const batch = (...pairs) => ({
  run: (store) => store.batchAsync(pairs.map(([path, data]) => ({ type: 'write', path, data }))),
  model: (map) => {
    for (const [path, data] of pairs) map.set(path, data);
  },
});

export const STORE_SCRIPT = [
  write('dw://kept/first', value('never written again', 300)),
  batch(['dw://pair/a', value('a1', 5000)], ['dw://pair/b', value('b1', 5000)]),
  append('dw://log', value('line 1;', 700)),
  remove('dw://kept/none'),
  ...Array.from({ length: 8 }, (_, i) => write(`dw://big/${i % 2}`, value(`big ${i};`, 30_000))),
  append('dw://log', value('line 2;', 700)),
  batch(['dw://pair/a', value('a2', 5000)], ['dw://pair/b', value('b2', 5000)]),
  remove('dw://big/1'),
  ...Array.from({ length: 2 }, (_, i) => write('dw://big/0', value(`more ${i};`, 30_000))),
];
