// The contract of resilience policies.

/** What {@link IResiliencePolicy} shows of itself. */
export interface ResiliencePolicyState {
  readonly name: string;
  /** The strategies, outermost first: `retry`, `circuit-breaker`, `timeout`, … */
  readonly strategies: readonly string[];
  /** Of the circuit breaker, if there is one. */
  readonly circuit: 'closed' | 'open' | 'half-open' | undefined;
}

/** A named composition of strategies around a call. */
export interface IResiliencePolicy {
  readonly name: string;
  /** Runs `action`; `signal` cancels it through every layer. @throws what the action or a strategy throws. */
  execute<T>(action: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T>;
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
