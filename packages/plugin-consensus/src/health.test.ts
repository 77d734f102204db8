// What makes a node not ready, and what is only told: the keys must be served; a state machine of another plugin may fail.

import { describe, expect, it } from 'vitest';
import { groupFailed } from './errors.js';
import type { HealthParts } from './health.js';
import { healthOf } from './health.js';
import { applyFailed } from './state/errors.js';

interface Group {
  readonly id: string;
  readonly machine: string;
  readonly leader: string | undefined;
  readonly failed: Error | undefined;
}

function group(id: string, machine: string, more: Partial<Group> = {}): Group {
  return { id, machine, leader: 'n1', failed: undefined, ...more };
}

function partsOf(
  groups: readonly Group[],
  more: Partial<Record<'waiting', readonly string[]>> = {},
): HealthParts {
  return {
    engine: { failure: undefined, all: () => groups as unknown as ReturnType<HealthParts['engine']['all']> },
    replicas: { obstacle: undefined },
    directory: { standing: 'member' },
    machines: { registered: (name) => name === 'ledger', waiting: () => more.waiting ?? [] },
  };
}

const entry = { index: 17, term: 3, type: 'normal', data: new Uint8Array(0) } as const;
const failure = (id: string) => groupFailed(id, applyFailed(id, entry, 'n2', new Error('cannot take this')));

describe('the health of the plugin', () => {
  it('is good when all groups run and have leaders', () => {
    expect(healthOf(partsOf([group('group-1', 'key-value'), group('machine-ledger', 'ledger')]))).toEqual({
      status: 'healthy',
    });
  });

  it('names the entry at which a state machine failed, and lets the node serve', () => {
    const failed = group('machine-ledger', 'ledger', { failed: failure('machine-ledger') });
    const { status, message } = healthOf(partsOf([group('group-1', 'key-value'), failed]));
    expect(status).toBe('degraded');
    expect(message).toMatch(/machine-ledger .*entry 17 of term 3, proposed by n2: cannot take this/);
  });

  it('tells of machines without a leader and of those that nobody registered here, and lets the node serve', () => {
    const silent = group('machine-ledger', 'ledger', { leader: undefined });
    const parts = partsOf([group('group-1', 'key-value'), silent], { waiting: ['machine-other'] });
    expect(healthOf(parts)).toEqual({
      status: 'degraded',
      message: 'no leader known for machine-ledger; waiting for their state machines: machine-other',
    });
  });

  it('is bad when keys are not served', () => {
    const failed = group('group-1', 'key-value', { failed: failure('group-1') });
    expect(healthOf(partsOf([failed])).status).toBe('unhealthy');
    expect(healthOf(partsOf([group('group-1', 'key-value', { leader: undefined })]))).toEqual({
      status: 'unhealthy',
      message: 'no leader known for group-1',
    });
    // Keys are served also while the directory has no leader.
    expect(healthOf(partsOf([group('directory', 'directory', { leader: undefined })])).status).toBe(
      'healthy',
    );
    const retired = { ...partsOf([]), directory: { standing: 'retired' as const } };
    expect(healthOf(retired)).toMatchObject({ status: 'unhealthy' });
    const joining = { ...partsOf([]), directory: { standing: 'joining' as const } };
    expect(healthOf(joining)).toMatchObject({ status: 'unhealthy' });
  });
});
