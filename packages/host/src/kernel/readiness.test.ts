import { expect, test } from 'vitest';
import type { HealthCheckResult } from '@datawarehouse/sdk';
import type { PluginLife } from './plugin-life.js';
import type { PluginSlot } from './plugin-slot.js';
import { createSlot } from './plugin-slot.js';
import { definitionOf } from './kernel-kit.test.kit.js';
import { readinessOf, whyIncomplete } from './readiness.js';

const life = {} as PluginLife;

function slotOf(
  state: 'discovered' | 'active',
  options: { required?: boolean; health?: HealthCheckResult; enabled?: boolean } = {},
): PluginSlot {
  const { health, ...entry } = options;
  const slot = createSlot({ entry: { package: 'p', ...entry }, id: 'p', definition: definitionOf() });
  if (state === 'active') slot.status = { state, life };
  slot.health = health;
  return slot;
}

test('a host that does not run is not ready, whatever its plugins', () => {
  expect(readinessOf('starting', [])).toEqual({ ready: false, reasons: ['the host is starting'] });
  expect(readinessOf('stopping', [])).toEqual({ ready: false, reasons: ['the host is stopping'] });
  expect(readinessOf('running', [])).toEqual({ ready: true, reasons: [] });
});

test('required plugins have to be active, others need not', () => {
  expect(readinessOf('running', [slotOf('discovered')]).ready).toBe(true);
  expect(readinessOf('running', [slotOf('discovered', { required: true })]).reasons).toEqual([
    'required plugin p is discovered',
  ]);
});

test('active plugins have to have said that they are not unhealthy', () => {
  const reasons = (health?: HealthCheckResult): readonly string[] =>
    readinessOf('running', [slotOf('active', health && { health })]).reasons;
  expect(reasons()).toEqual(['plugin p has not said yet how it is']);
  expect(reasons({ status: 'healthy' })).toEqual([]);
  expect(reasons({ status: 'degraded', message: 'slow' })).toEqual([]);
  expect(reasons({ status: 'unhealthy' })).toEqual(['plugin p is unhealthy']);
  expect(reasons({ status: 'unhealthy', message: 'no leader' })).toEqual([
    'plugin p is unhealthy: no leader',
  ]);
});

test('a path may yet be served while a plugin that is wanted is missing', () => {
  expect(whyIncomplete('starting', [])).toBe('the host is starting');
  expect(whyIncomplete('running', [slotOf('active'), slotOf('discovered')])).toBe('plugin p is discovered');
  expect(
    whyIncomplete('running', [slotOf('active'), slotOf('discovered', { enabled: false })]),
  ).toBeUndefined();
});
