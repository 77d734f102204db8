// The paths of a store in code unit order. Kept in short sorted runs, so that adding or removing one costs the same
// few hundred moves however many there are, and listing a prefix costs only what it finds.

const MAX_RUN = 512;

/** A sorted set of texts. */
export class SortedPaths {
  /** Sorted, none empty; each item of a run is below each item of the next. */
  readonly #runs: string[][] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Adds a path that may be there already. */
  add(path: string): void {
    const runIndex = this.#runOf(path);
    const run = this.#runs[runIndex];
    if (run === undefined) {
      this.#runs.push([path]);
      this.#size += 1;
      return;
    }
    const at = lowerBound(run, path);
    if (run[at] === path) return;
    run.splice(at, 0, path);
    this.#size += 1;
    if (run.length > MAX_RUN) this.#runs.splice(runIndex + 1, 0, run.splice(MAX_RUN / 2));
  }

  /** Removes a path if it is there. */
  delete(path: string): void {
    const runIndex = this.#runOf(path);
    const run = this.#runs[runIndex];
    if (run === undefined) return;
    const at = lowerBound(run, path);
    if (run[at] !== path) return;
    run.splice(at, 1);
    this.#size -= 1;
    if (run.length === 0) this.#runs.splice(runIndex, 1);
  }

  /** The paths that start with `prefix`, in order. */
  withPrefix(prefix: string): string[] {
    const found: string[] = [];
    let runIndex = this.#runOf(prefix);
    let at = lowerBound(this.#runs[runIndex] ?? [], prefix);
    for (; runIndex < this.#runs.length; runIndex++, at = 0) {
      const run = this.#runs[runIndex] ?? [];
      for (; at < run.length; at++) {
        const path = run[at] ?? '';
        if (!path.startsWith(prefix)) return found;
        found.push(path);
      }
    }
    return found;
  }

  /** The last run whose first item is not above `path`, or the first run. */
  #runOf(path: string): number {
    let low = 0;
    let high = this.#runs.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#runs[middle]?.[0] ?? '') <= path) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  }
}

/** Index of the first item that is not below `path`. */
function lowerBound(run: readonly string[], path: string): number {
  let low = 0;
  let high = run.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((run[middle] ?? '') < path) low = middle + 1;
    else high = middle;
  }
  return low;
}
