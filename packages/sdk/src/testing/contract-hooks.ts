// What a contract suite needs of a test framework. vitest, jest and the like have these; the SDK depends on none.

/** The part of an assertion that contract suites use. */
export interface ContractAssertion {
  toBe(expected: unknown): void;
  toEqual(expected: unknown): void;
}

/** Pass the framework's own `describe`, `it` and `expect`. */
export interface ContractHooks {
  readonly describe: (name: string, body: () => void) => void;
  readonly it: (name: string, body: () => Promise<void>) => void;
  readonly expect: (actual: unknown) => ContractAssertion;
}

/** The `code` that a promise rejects with; `resolved` if it does not reject, `?` if what it throws has no code. */
export async function rejectionCode(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'resolved';
  } catch (error) {
    const { code } = error as { readonly code?: unknown };
    return typeof code === 'string' ? code : '?';
  }
}
