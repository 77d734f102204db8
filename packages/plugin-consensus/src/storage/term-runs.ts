// The term of every entry of a log, as runs: terms only grow along a log and change seldom, so a whole log takes a few
// numbers, and asking for a term never touches the disk.

/** Terms by index, for a contiguous log. */
export class TermRuns {
  /** Index where each run begins, ascending, and its term. */
  readonly #starts: number[] = [];
  readonly #terms: number[] = [];

  /** Notes the term of the entry after the last. */
  push(index: number, term: number): void {
    if (this.#terms.at(-1) === term) return;
    this.#starts.push(index);
    this.#terms.push(term);
  }

  /** Forgets the entries from `index` on. */
  truncateFrom(index: number): void {
    while ((this.#starts.at(-1) ?? -1) >= index) {
      this.#starts.pop();
      this.#terms.pop();
    }
  }

  /** Forgets the entries up to `index`. */
  dropThrough(index: number): void {
    let drop = 0;
    while (drop + 1 < this.#starts.length && (this.#starts[drop + 1] as number) <= index + 1) drop++;
    this.#starts.splice(0, drop);
    this.#terms.splice(0, drop);
  }

  /** Where each run begins, and its term. */
  starts(): { readonly index: number; readonly term: number }[] {
    return this.#starts.map((index, at) => ({ index, term: this.#terms[at] as number }));
  }

  /** Forgets everything. */
  clear(): void {
    this.#starts.length = 0;
    this.#terms.length = 0;
  }

  /** The term of an entry that is there. */
  at(index: number): number | undefined {
    let low = 0;
    let high = this.#starts.length;
    // Almost all questions are about the newest run.
    if ((this.#starts.at(-1) ?? Infinity) <= index) return this.#terms.at(-1);
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#starts[middle] as number) <= index) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? undefined : this.#terms[low - 1];
  }
}
