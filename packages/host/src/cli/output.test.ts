import { describe, expect, it } from 'vitest';
import { tableText } from './output.js';

describe('tableText', () => {
  it('aligns numbers to the right and text to the left, and shows what is missing as a dash', () => {
    expect(
      tableText(
        ['name', 'size', 'why'],
        [
          ['a', 1_000, undefined],
          ['long name', 7, 'full'],
        ],
      ),
    ).toBe('NAME       SIZE  WHY\na          1000  -\nlong name     7  full\n');
  });

  it('lets no text from elsewhere command the terminal', () => {
    expect(tableText(['x'], [['\u001b[31mred\r\n\u009b']])).not.toMatch(/[^\P{Cc}\n]/u);
  });
});
