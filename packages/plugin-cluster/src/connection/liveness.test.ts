import { describe, expect, it } from 'vitest';
import type { LivenessSample } from './liveness.js';
import { Liveness } from './liveness.js';

const bounds = { silent: 3, writeStalled: 4, frameStalled: 5 };
const still: LivenessSample = {
  bytesIn: 10,
  bytesWritten: 20,
  writing: false,
  insideFrame: false,
  framesIn: 1,
  paused: false,
};

function looks(samples: readonly Partial<LivenessSample>[]) {
  const liveness = new Liveness();
  return samples.map((sample) => liveness.look({ ...still, ...sample }, bounds));
}

describe('liveness', () => {
  it('gives up a peer after so many looks without a byte', () => {
    expect(looks([{}, {}, {}, {}])).toEqual(['alive', 'alive', 'alive', 'silent']);
  });

  it('starts over with every byte', () => {
    expect(looks([{}, {}, {}, { bytesIn: 11 }, { bytesIn: 11 }, { bytesIn: 11 }])).not.toContain('silent');
  });

  it('gives up a write that makes no progress, though bytes come in', () => {
    const samples = Array.from({ length: 5 }, (_, i) => ({ bytesIn: i, writing: true }));
    expect(looks(samples)).toEqual(['alive', 'alive', 'alive', 'alive', 'write-stalled']);
    expect(looks(samples.map((sample, i) => ({ ...sample, bytesWritten: i })))).not.toContain(
      'write-stalled',
    );
  });

  it('gives up a frame that drips in for ever', () => {
    const samples = Array.from({ length: 6 }, (_, i) => ({ bytesIn: i, insideFrame: true }));
    expect(looks(samples).at(-1)).toBe('frame-stalled');
    expect(looks(samples.map((sample, i) => ({ ...sample, framesIn: i }))).at(-1)).toBe('alive');
  });

  it('does not take it for silence that we do not read ourselves', () => {
    const paused = Array.from({ length: 9 }, () => ({ paused: true, insideFrame: true }));
    expect(looks(paused)).not.toContain('silent');
    expect(looks(paused).at(-1)).toBe('alive');
    expect(looks([...paused, {}, {}, {}]).slice(-3)).toEqual(['alive', 'alive', 'silent']);
  });
});
