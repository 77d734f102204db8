// Two texts, line by line: what is missing (-), what is too much (+).

/** Lines beyond which no common parts are looked for. */
const maxCells = 4_000_000;

/** The differences, with up to three lines around each. */
export function diffLines(expected: string, actual: string): string {
  const before = expected.split('\n');
  const after = actual.split('\n');
  if (before.length * after.length > maxCells) {
    return [...before.map((line) => `- ${line}`), ...after.map((line) => `+ ${line}`)].join('\n');
  }
  return nearChanges(marked(before, after)).join('\n');
}

/** Every line of both, marked. */
function marked(before: readonly string[], after: readonly string[]): readonly string[] {
  const common = lengthsOfCommon(before, after);
  const lines: string[] = [];
  let i = 0;
  let j = 0;
  const at = (x: number, y: number): number => (common[x] as Uint32Array)[y] as number;
  while (i < before.length || j < after.length) {
    if (i < before.length && j < after.length && before[i] === after[j]) {
      lines.push(`  ${before[i++] as string}`);
      j++;
    } else if (j >= after.length || (i < before.length && at(i + 1, j) >= at(i, j + 1))) {
      lines.push(`- ${before[i++] as string}`);
    } else {
      lines.push(`+ ${after[j++] as string}`);
    }
  }
  return lines;
}

/** At [i][j]: how many lines `before` from i on and `after` from j on have in common, in order. */
function lengthsOfCommon(before: readonly string[], after: readonly string[]): readonly Uint32Array[] {
  const table = Array.from({ length: before.length + 1 }, () => new Uint32Array(after.length + 1));
  for (let i = before.length - 1; i >= 0; i--) {
    const row = table[i] as Uint32Array;
    const below = table[i + 1] as Uint32Array;
    for (let j = after.length - 1; j >= 0; j--) {
      row[j] =
        before[i] === after[j]
          ? (below[j + 1] as number) + 1
          : Math.max(below[j] as number, row[j + 1] as number);
    }
  }
  return table;
}

function nearChanges(lines: readonly string[]): readonly string[] {
  const isNear = (at: number): boolean =>
    lines.slice(Math.max(0, at - 3), at + 4).some((line) => !line.startsWith('  '));
  const shown: string[] = [];
  for (const [at, line] of lines.entries()) {
    if (isNear(at)) shown.push(line);
    else if (shown.at(-1) !== '  …') shown.push('  …');
  }
  return shown;
}
