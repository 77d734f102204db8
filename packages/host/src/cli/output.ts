// What commands print: tables for people, JSON for machines, bytes as they are.

/** Text or a number in a table's cell; undefined shows as `-`. */
export type Cell = string | number | boolean | undefined | null;

/** A cell as text. Text from elsewhere must not move the cursor or change colours. */
export function printable(cell: Cell): string {
  if (cell === undefined || cell === null || cell === '') return '-';
  return String(cell).replaceAll(/\p{Cc}/gu, '\ufffd');
}

/** Lines of a table: the columns' names, then the rows, each column as wide as it needs. */
export function tableText(columns: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const cells = [columns.map((column) => column.toUpperCase()), ...rows.map((row) => row.map(printable))];
  const numeric = columns.map(
    (_, index) => rows.length > 0 && rows.every((row) => typeof row[index] === 'number'),
  );
  const widths = columns.map((_, index) => Math.max(...cells.map((row) => row[index]?.length ?? 0)));
  return cells
    .map((row) =>
      row
        .map((cell, index) =>
          numeric[index] ? cell.padStart(widths[index] ?? 0) : cell.padEnd(widths[index] ?? 0),
        )
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}

/** Writes to standard output and waits until it is taken, so that large output to a slow pipe is not held in memory. */
export function write(text: string | Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    // A reader that has gone away (`dw … | head -1`) is no failure of ours.
    process.stdout.write(text, () => resolve());
  });
}

/** Prints a table. */
export function printTable(columns: readonly string[], rows: readonly (readonly Cell[])[]): Promise<void> {
  return write(tableText(columns, rows));
}

/** Prints a value as JSON. */
export function printJson(value: unknown): Promise<void> {
  return write(`${JSON.stringify(value, undefined, 2)}\n`);
}

/** Prints a line. */
export function printLine(text: string): Promise<void> {
  return write(`${text}\n`);
}
