import { SystemClock } from '@datawarehouse/sdk';
import { describe, expect, it } from 'vitest';
import { DEFAULT_POLICIES } from './default-policies.js';
import { readPolicyDocument } from './document.js';
import { explainPolicy } from './explain.js';
import { ResilienceService } from './resilience-service.js';
import { STRATEGY_CLASSES } from './strategy-classes.js';
import { STRATEGY_SCHEMAS } from './strategy-schemas.js';
import type { StrategyView } from './strategy-view.js';
import { views } from './policy-views.test.kit.js';
import type { StrategyType } from '../engine/layer.js';

describe('the policies that ship', () => {
  it.each(DEFAULT_POLICIES)('$name is accepted, with a worst case and without a finding', async (given) => {
    const document = readPolicyDocument(given);
    const { findings, timeMs } = explainPolicy(document);
    expect(findings).toEqual([]);
    expect(timeMs).toBeLessThanOrEqual(60_000);
    const service = new ResilienceService({ clock: new SystemClock(false), strategies: STRATEGY_CLASSES });
    service.set(document);
    await expect(service.execute(given.name, async () => 'done')).resolves.toBe('done');
    service.dispose();
  });
});

describe('the strategies that ship', () => {
  const types = Object.keys(STRATEGY_SCHEMAS) as StrategyType[];

  it('have each a class and a schema', () => {
    expect(Object.keys(STRATEGY_CLASSES)).toEqual(types);
  });

  it.each(types)('%s needs no options, and has the ones that the linter looks at', (type) => {
    const document = readPolicyDocument({ name: 'p', strategies: [{ type }] });
    const [read] = document.strategies as readonly StrategyView[];
    const [expected] = views(type);
    for (const name of Object.keys(expected ?? {})) expect(read, name).toHaveProperty(name);
    const service = new ResilienceService({ clock: new SystemClock(false), strategies: STRATEGY_CLASSES });
    service.set(document);
    expect(service.show('p').statistics.strategies).toMatchObject([{ type, name: type }]);
    service.dispose();
  });
});
