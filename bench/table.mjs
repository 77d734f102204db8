// Prints what a benchmark found: one line a measurement, with what it was measured beside and the ratio of the two.

/** Prints one table. */
export function print({ title, rows }) {
  console.log(`\n${title}`);
  for (const { name, value, unit, beside, ratio, target, ok } of rows) {
    const shown = typeof value === 'number' ? `${Number(value.toPrecision(4))} ${unit ?? ''}` : value;
    const parts = [`  ${name.padEnd(44)} ${shown}`];
    if (beside !== undefined) parts.push(`\n  ${'  beside'.padEnd(44)} ${beside}`);
    if (ratio !== undefined) parts.push(`  ratio ${ratio.toFixed(2)}`);
    if (target !== undefined)
      parts.push(`  (wanted ${target}${ok === undefined ? '' : ok ? ', met' : ', NOT MET'})`);
    console.log(parts.join(''));
  }
}
