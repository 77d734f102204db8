import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { earlyOptimizationFlags } from './early-optimization.js';

describe('the V8 flags of a host', () => {
  it('given a V8 without a middle tier, then functions are optimized early', () => {
    expect(earlyOptimizationFlags('11.3.244.8-node.38', [])).toEqual(['--interrupt-budget=10000']);
    expect(earlyOptimizationFlags('11.3.244.8-node.38', ['--expose-gc'])).toHaveLength(1);
  });

  it('given a V8 with one, then nothing is set', () => {
    expect(earlyOptimizationFlags('12.4.254.21-node.33', [])).toEqual([]);
    expect(earlyOptimizationFlags('110.1', [])).toEqual([]);
  });

  it('given a budget on the command line, then that one stays', () => {
    expect(earlyOptimizationFlags('11.3.244.8', ['--interrupt-budget=5'])).toEqual([]);
    expect(earlyOptimizationFlags('11.3.244.8', ['--interrupt_budget=5'])).toEqual([]);
  });

  it('given this node, then its V8 takes what is set without a word', () => {
    const flags = earlyOptimizationFlags(process.versions.v8, []);
    const script = `for (const flag of ${JSON.stringify(flags)}) require('node:v8').setFlagsFromString(flag)`;
    // V8 says of a flag that it does not know so on standard error and goes on.
    const said = execFileSync('sh', ['-c', '"$0" -e "$1" 2>&1', process.execPath, script], {
      cwd: fileURLToPath(new URL('.', import.meta.url)),
    });
    expect(said.toString()).toBe('');
  });
});
