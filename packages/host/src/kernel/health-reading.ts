// Reads what a plugin answers to a health check. The answer comes from a stranger and goes to others as JSON.

import type { HealthCheckResult, HealthStatus } from '@datawarehouse/sdk';

const STATUSES: ReadonlySet<unknown> = new Set<HealthStatus>(['healthy', 'degraded', 'unhealthy']);
const MAX_MESSAGE = 500;
const MAX_DATA_CHARACTERS = 10_000;

function plainData(data: unknown): Readonly<Record<string, unknown>> | undefined {
  if (typeof data !== 'object' || data === null) return undefined;
  const text = JSON.stringify(data);
  return text.length > MAX_DATA_CHARACTERS
    ? { truncated: true }
    : (JSON.parse(text) as Record<string, unknown>);
}

/** A plain copy of a health check's answer; anything that is not one is unhealthy. Never throws. */
export function readHealth(answer: unknown): HealthCheckResult {
  const invalid: HealthCheckResult = {
    status: 'unhealthy',
    message: 'the health check answered with something that is not a health check result',
  };
  try {
    const { status, message, data } = answer as Partial<HealthCheckResult>;
    if (!STATUSES.has(status)) return invalid;
    const plain = plainData(data);
    return {
      status: status as HealthStatus,
      ...(typeof message === 'string' && { message: message.slice(0, MAX_MESSAGE) }),
      ...(plain !== undefined && { data: plain }),
    };
  } catch {
    // No object, a getter that throws, a cycle: not an answer.
    return invalid;
  }
}
