import { describe, expect, it } from 'vitest';
import { diffLines } from './diff.js';
import { parseCommand, parseDirectives } from './directives.js';

describe('a command line', () => {
  it('has words, values, and lists of values', () => {
    expect(parseCommand('  cmd 1 a=b list=(x, y,z) none=() empty= ')).toEqual({
      command: 'cmd',
      args: [
        { key: '1', values: [] },
        { key: 'a', values: ['b'] },
        { key: 'list', values: ['x', 'y', 'z'] },
        { key: 'none', values: [] },
        { key: 'empty', values: [''] },
      ],
    });
  });

  it.each(['', '=x', 'cmd a=(b'])('cannot be read when it is %j', (line) => {
    expect(parseCommand(line)).toBeUndefined();
  });
});

describe('a file of directives', () => {
  it('has comments, input, continued lines, and output that ends at a blank line', () => {
    const text =
      '# comment\n\nfirst 1 \\\n  key=v\ninput a\ninput b\n----\nout\n  more\n\nsubtest x\nsecond\n----\n';
    expect(parseDirectives('f', text)).toMatchObject([
      { line: 3, text: 'first 1 key=v', input: ['input a', 'input b'], expected: 'out\n  more' },
      { line: 12, text: 'second', input: [], expected: '', fault: undefined },
    ]);
  });

  it('has output with blank lines between doubled fences', () => {
    const [first, second] = parseDirectives('f', 'a\n----\n----\nx\n\ny\n----\n----\n\nb\n----\nok');
    expect(first).toMatchObject({ expected: 'x\n\ny', fault: undefined });
    expect(second).toMatchObject({ command: 'b', expected: 'ok' });
  });

  it('is read alike with the line ends of Windows', () => {
    expect(parseDirectives('f', 'a\r\n----\r\nok\r\n')).toMatchObject([{ command: 'a', expected: 'ok' }]);
  });
});

describe('a diff', () => {
  it('shows what is missing and what is too much, and leaves out what is far from either', () => {
    const same = ['1', '2', '3', '4', '5', '6'].join('\n');
    expect(diffLines(`${same}\nold\nend`, `${same}\nnew\nend`)).toBe(
      '  …\n  4\n  5\n  6\n- old\n+ new\n  end',
    );
  });
});
