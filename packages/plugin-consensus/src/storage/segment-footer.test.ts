import { expect, it } from 'vitest';
import { decodeFooter, encodeFooter, type SegmentFooter } from './segment-footer.js';

const footer: SegmentFooter = {
  start: 9_007_199_254_000_001,
  offsets: Uint32Array.of(24, 99, 4_000_000_000),
  runs: [
    { index: 9_007_199_254_000_001, term: 3 },
    { index: 9_007_199_254_000_003, term: 8_589_934_592 },
  ],
  recordsCrc: 0xfe_dc_ba_98,
};

it('is the same when it is read back', () => {
  expect(decodeFooter(encodeFooter('g', footer), 'g', footer.start)).toEqual(footer);
  const empty = { start: 1, offsets: new Uint32Array(0), runs: [], recordsCrc: 0 };
  expect(decodeFooter(encodeFooter('g', empty), 'g', 1)).toEqual(empty);
});

it('is not believed with any bit changed, cut, or of another group or place', () => {
  const bytes = encodeFooter('g', footer);
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const bad = Buffer.from(bytes);
    bad[bit >> 3] = (bad[bit >> 3] as number) ^ (1 << (bit & 7));
    expect(decodeFooter(bad, 'g', footer.start)).toBe('the checksum of the footer fails');
  }
  for (let length = 0; length < bytes.length; length++) {
    expect(decodeFooter(bytes.subarray(0, length), 'g', footer.start)).toBeTypeOf('string');
  }
  expect(decodeFooter(bytes, 'h', footer.start)).toBe('the footer is that of another segment');
  expect(decodeFooter(bytes, 'g', 1)).toBe('the footer is that of another segment');
});
