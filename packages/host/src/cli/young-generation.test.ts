// The flags that nodes are started with.

import { describe, expect, it } from 'vitest';
import { nodeFlags } from './young-generation.js';

describe('the flags of a node', () => {
  it('make room for what a write leaves behind, besides what this process was given', () => {
    expect(nodeFlags([])).toEqual(['--max-semi-space-size=32']);
    expect(nodeFlags(['--no-warnings'], '--enable-source-maps')).toEqual([
      '--max-semi-space-size=32',
      '--no-warnings',
    ]);
  });

  it('leave a size alone that somebody has set, however it is written', () => {
    for (const flag of ['--max-semi-space-size=8', '--max_semi_space_size=8']) {
      expect(nodeFlags([flag])).toEqual([flag]);
      expect(nodeFlags([], `--no-warnings ${flag}`)).toEqual([]);
    }
  });
});
