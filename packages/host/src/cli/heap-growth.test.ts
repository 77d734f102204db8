import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { heapGrowthFlags } from './heap-growth.js';

describe('the growth of a host’s heap', () => {
  it('is to four times what lives, unless the command line says otherwise', () => {
    expect(heapGrowthFlags(['--expose-gc'])).toEqual(['--heap-growing-percent=300']);
    expect(heapGrowthFlags(['--heap-growing-percent=30'])).toEqual([]);
    expect(heapGrowthFlags(['--heap_growing_percent=30'])).toEqual([]);
  });

  it('given this node, then its V8 takes what is set without a word', () => {
    const flags = JSON.stringify(heapGrowthFlags([]));
    const script = `for (const flag of ${flags}) require('node:v8').setFlagsFromString(flag)`;
    // V8 says of a flag that it does not know so on standard error and goes on.
    const said = execFileSync('sh', ['-c', '"$0" -e "$1" 2>&1', process.execPath, script], {
      cwd: fileURLToPath(new URL('.', import.meta.url)),
    });
    expect(said.toString()).toBe('');
  });
});
