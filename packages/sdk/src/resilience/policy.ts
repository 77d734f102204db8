// The contract of one resilience policy: a named composition of strategies around a call.

/** What is called under a policy. One that takes no argument is not given a signal, which saves making it. */
export type ResilienceAction<T> = (signal: AbortSignal) => PromiseLike<T> | T;

/** What a caller may say of one call. */
export interface ResilienceCallOptions {
  /**
   * Which dependency is called: a host, a tenant, a shard. Breakers, bulkheads and limits hold their state for each
   * (policy, key), so that one that is ill does not stop the others. At most 512 characters. Default the empty key.
   */
  readonly key?: string | undefined;
  /** Gives the call up, wherever it is: at once, freeing all that it held, never as a failure. */
  readonly signal?: AbortSignal | undefined;
  /** Who comes first in queues: higher before lower, first come first served within one. Default 0. */
  readonly priority?: number | undefined;
  /** Stands in for the fallback's value: makes the call's value from the error. */
  readonly fallback?: ((error: unknown) => unknown) | undefined;
  /** Calls with equal identities are the same call, where calls are coalesced. Default: the key. */
  readonly identity?: string | undefined;
}

/** What {@link IResiliencePolicy} shows of itself. */
export interface ResiliencePolicyState {
  readonly name: string;
  /** The strategies, outermost first: `retry`, `circuit-breaker`, `timeout`, … */
  readonly strategies: readonly string[];
  /** The worst state among the circuit breakers of all keys, an isolated one counting as open; undefined without any. */
  readonly circuit: 'closed' | 'open' | 'half-open' | undefined;
  /** Keys that have state now. */
  readonly keys: number;
  /** Calls under way now, waiting ones included. */
  readonly inFlight: number;
}

/** A named composition of strategies around a call. It may be changed while it is used, without losing state. */
export interface IResiliencePolicy {
  readonly name: string;
  /**
   * Runs `action` under the policy.
   * @param options Options of this call, or only its signal.
   * @throws what the action throws in the end, the very object; the signal's reason when it aborts. A rejection of a
   * strategy: DwError `circuit-open`, `circuit-isolated`, `bulkhead-full`, `bulkhead-queue-timeout`, `rate-limited`,
   * `concurrency-limited`, `call-timeout`, `chaos-injected`. DwError `policy-unknown` when the policy was removed,
   * `resilience-key-invalid`, `resilience-keys-exhausted`; `resilience-stopping` when the plugin takes no more calls,
   * `resilience-stopped` when it stopped while the call was under way.
   * @example
   * const page = await policy.execute((signal) => fetch(url, { signal }), { key: url.host });
   */
  execute<T>(action: ResilienceAction<T>, options?: AbortSignal | ResilienceCallOptions): Promise<T>;
  state(): ResiliencePolicyState;
}

/** Health of all policies of a plugin. */
export interface ResilienceHealthInfo {
  readonly totalPolicies: number;
  /** Breakers that are open or half-open. */
  readonly activeCircuitBreakers: number;
  /** State of each policy by name. */
  readonly policyStates: Readonly<Record<string, ResiliencePolicyState>>;
}
