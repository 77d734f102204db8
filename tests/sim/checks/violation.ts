// A property that was broken.

/** Thrown when a simulation sees what must never be. */
export class Violation extends Error {
  constructor(
    readonly property: string,
    what: string,
  ) {
    super(`${property}: ${what}`);
    this.name = 'Violation';
  }
}
