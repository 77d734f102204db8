// How a plugin says how it is.

/** `unhealthy` makes the node not ready. */
export type HealthStatus = 'healthy' | 'degraded' | 'unhealthy';

/** How a plugin is, and why. */
export interface HealthCheckResult {
  readonly status: HealthStatus;
  readonly message?: string;
  readonly data?: Readonly<Record<string, unknown>>;
}
