// The sequential specification of one key of the replicated store: what each operation may answer in each state.
//
// Every write of a test writes a value of its own, so a value identifies its write. A write whose outcome is unknown
// leaves a version that nobody has been told; it stays open until an answer names it.

/** What a client asked for. */
export type Operation =
  | { readonly kind: 'put'; readonly value: string }
  | { readonly kind: 'cas'; readonly expected: number | 'absent'; readonly value: string }
  | { readonly kind: 'get' }
  | { readonly kind: 'delete' };

/** What it was told. `unknown`: it may have happened at any time after the call, or never. */
export type Outcome =
  | { readonly kind: 'written'; readonly version: number }
  | { readonly kind: 'read'; readonly value: string | undefined; readonly version: number | undefined }
  | { readonly kind: 'mismatch' }
  | { readonly kind: 'unknown' };

/** State of one key. `version` is undefined when a write of unknown outcome set the value. */
export type KeyState =
  | { readonly present: false }
  | { readonly present: true; readonly value: string; readonly version: number | undefined };

/** A key before anything was written. */
export const ABSENT: KeyState = { present: false };

/** A text that is equal for equal states. */
export function stateKey(state: KeyState): string {
  return state.present ? `${state.value}@${state.version ?? '?'}` : '-';
}

function written(state: KeyState, value: string, outcome: Outcome): KeyState | undefined {
  if (outcome.kind === 'unknown') return { present: true, value, version: undefined };
  if (outcome.kind !== 'written') return undefined;
  // Versions of a key rise with every write.
  if (state.present && state.version !== undefined && outcome.version <= state.version) return undefined;
  return { present: true, value, version: outcome.version };
}

function matches(state: KeyState, expected: number | 'absent'): boolean {
  if (!state.present) return expected === 'absent';
  return expected !== 'absent' && (state.version === undefined || state.version === expected);
}

/** The state after `operation` answered `outcome` in `state`; undefined when it could not have. */
export function step(state: KeyState, operation: Operation, outcome: Outcome): KeyState | undefined {
  switch (operation.kind) {
    case 'put':
      return written(state, operation.value, outcome);
    case 'delete':
      return outcome.kind === 'written' || outcome.kind === 'unknown' ? ABSENT : undefined;
    case 'cas': {
      const holds = matches(state, operation.expected);
      if (outcome.kind === 'mismatch') {
        // With a version that nobody was told, either answer is possible.
        const open = state.present && state.version === undefined && operation.expected !== 'absent';
        return holds && !open ? undefined : state;
      }
      if (outcome.kind === 'unknown' && !holds) return state;
      return holds ? written(state, operation.value, outcome) : undefined;
    }
    case 'get': {
      if (outcome.kind !== 'read') return undefined;
      if (!state.present) return outcome.value === undefined ? state : undefined;
      if (outcome.value !== state.value) return undefined;
      if (state.version === undefined) return { ...state, version: outcome.version };
      return outcome.version === state.version ? state : undefined;
    }
  }
}
