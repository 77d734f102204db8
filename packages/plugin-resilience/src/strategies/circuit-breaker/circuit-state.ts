// The state of one breaker, and what becomes of it. Pure: time is an argument, and nothing here knows of calls, keys or
// events. What a closed breaker has seen lies in its window; this is only told that the window says it should open.

/** State of a breaker. A field exists only where it means something. */
export type Circuit =
  | { readonly kind: 'closed' }
  | {
      readonly kind: 'open';
      /** Monotonic ms from which on a probe may be made. */
      readonly until: number;
    }
  | {
      readonly kind: 'half-open';
      /** Probes of this state that have succeeded. Fewer than it takes to close. */
      readonly successes: number;
    }
  | { readonly kind: 'isolated' };

/** What happens to a breaker. */
export type CircuitInput =
  /** The window says that too much fails. */
  | { readonly kind: 'tripped'; readonly breakMs: number }
  /** A call wants to go in. */
  | { readonly kind: 'asked' }
  /** A probe of this very state has ended. */
  | { readonly kind: 'probe-succeeded'; readonly successesToClose: number }
  | { readonly kind: 'probe-failed'; readonly breakMs: number }
  /** The breaker of the same policy and key on another node has opened or closed. */
  | { readonly kind: 'remote-opened'; readonly breakMs: number }
  | { readonly kind: 'remote-closed' }
  /** By hand. */
  | { readonly kind: 'isolate' }
  | { readonly kind: 'reset' };

/** Every closed breaker is this one, so that a key that does not fail costs no state. */
export const CLOSED: Circuit = Object.freeze({ kind: 'closed' });
const ISOLATED: Circuit = Object.freeze({ kind: 'isolated' });
const HALF_OPEN: Circuit = Object.freeze({ kind: 'half-open', successes: 0 });

/** The state after `input` at `now`; the very same when nothing changes. */
export function nextCircuit(circuit: Circuit, input: CircuitInput, now: number): Circuit {
  if (input.kind === 'reset') return CLOSED;
  if (input.kind === 'isolate') return ISOLATED;
  switch (circuit.kind) {
    case 'closed':
      if (input.kind === 'tripped' || input.kind === 'remote-opened') return opened(now, input.breakMs);
      return circuit;
    case 'open':
      return afterOpen(circuit, input, now);
    case 'half-open':
      return afterHalfOpen(circuit, input, now);
    case 'isolated':
      return circuit;
  }
}

function afterOpen(circuit: Extract<Circuit, { kind: 'open' }>, input: CircuitInput, now: number): Circuit {
  if (input.kind === 'asked') return now < circuit.until ? circuit : HALF_OPEN;
  if (input.kind === 'remote-closed') return HALF_OPEN;
  // Another node's probe has failed: this one need not find the same out before that node would.
  if (input.kind === 'remote-opened' && now + input.breakMs > circuit.until)
    return opened(now, input.breakMs);
  return circuit;
}

function afterHalfOpen(
  circuit: Extract<Circuit, { kind: 'half-open' }>,
  input: CircuitInput,
  now: number,
): Circuit {
  if (input.kind === 'probe-failed' || input.kind === 'remote-opened') return opened(now, input.breakMs);
  if (input.kind !== 'probe-succeeded') return circuit;
  const successes = circuit.successes + 1;
  return successes >= input.successesToClose ? CLOSED : { kind: 'half-open', successes };
}

function opened(now: number, breakMs: number): Circuit {
  return { kind: 'open', until: now + breakMs };
}

/**
 * How a call is let in, of which `asked` has been told.
 * @param probes Probes that hold a place, of this half-open state and of earlier ones: a slow probe of an earlier one
 * weighs on what is probed as much as any.
 */
export function admission(circuit: Circuit, probes: number, maxProbes: number): 'in' | 'probe' | 'refused' {
  if (circuit.kind === 'closed') return 'in';
  return circuit.kind === 'half-open' && probes < maxProbes ? 'probe' : 'refused';
}
