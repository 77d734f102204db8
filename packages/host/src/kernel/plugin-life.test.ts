import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { PluginBase } from '@datawarehouse/sdk';
import type { PluginContext } from '@datawarehouse/sdk';
import { createKit, definitionOf, scopeOf } from './kernel-kit.test.kit.js';
import { PluginLife } from './plugin-life.js';
import { PluginLoader } from './plugin-loader.js';

let dataDir: string;
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'dw-life-'));
});
afterEach(() => rm(dataDir, { recursive: true, force: true }));

const steps: string[] = [];

class Recorder extends PluginBase {
  readonly id = 'p';
  readonly name = 'P';
  readonly version = '1.0.0';
  override initializeAsync(context: PluginContext): Promise<void> | void {
    steps.push('initialize');
    context.onDispose(() => void steps.push('dispose'));
    context.signal.addEventListener('abort', () => steps.push('abort'));
  }
  override activateAsync(_signal: AbortSignal): Promise<void> | void {
    steps.push('activate');
  }
  override drainAsync(): void {
    steps.push('drain');
  }
  override shutdownAsync(): void {
    steps.push('shutdown');
  }
}

function setUp(plugin: new () => PluginBase) {
  steps.length = 0;
  const kit = createKit();
  const ports = { ...kit.ports, dataDir };
  const loader = new PluginLoader(async () => ({ plugin }));
  const states: string[] = [];
  const life = new PluginLife(definitionOf(), scopeOf('p'), ports, loader, {
    onState: (state) => states.push(state),
  });
  return { ...kit, life, states };
}

test('a whole life, in order', async () => {
  const { life, states } = setUp(Recorder);
  await life.start();
  expect(states).toEqual(['loading', 'initializing', 'activating']);
  expect(await life.checkHealth()).toEqual({ status: 'healthy' });
  expect(await life.end()).toEqual([]);
  expect(steps).toEqual(['initialize', 'activate', 'drain', 'abort', 'shutdown', 'dispose']);
  await life.end();
  expect(steps).toHaveLength(6);
  expect(await life.checkHealth()).toMatchObject({ status: 'unhealthy' });
});

test('a plugin that fails to activate is shut down, but not drained', async () => {
  class Failing extends Recorder {
    override activateAsync(): void {
      throw new Error('no');
    }
  }
  const { life } = setUp(Failing);
  await expect(life.start()).rejects.toMatchObject({
    code: 'plugin-step-failed',
    details: { plugin: 'p', phase: 'activate' },
  });
  await life.end();
  expect(steps).toEqual(['initialize', 'abort', 'shutdown', 'dispose']);
});

test('a plugin that fails to initialize is only undone', async () => {
  class Failing extends Recorder {
    override initializeAsync(context: PluginContext): void {
      void super.initializeAsync(context);
      throw new Error('no');
    }
  }
  const { life } = setUp(Failing);
  await expect(life.start()).rejects.toMatchObject({ details: { phase: 'initialize' } });
  await life.end();
  expect(steps).toEqual(['initialize', 'abort', 'dispose']);
});

test('a life that is ended on its way up stops at once, and tells the plugin', async () => {
  let told = false;
  class Slow extends Recorder {
    override activateAsync(signal: AbortSignal): Promise<void> {
      signal.addEventListener('abort', () => (told = true));
      return new Promise(() => {});
    }
  }
  const { life, states, clock } = setUp(Slow);
  const starting = life.start().catch((error: unknown) => error);
  while (states.at(-1) !== 'activating') await new Promise((resolve) => setImmediate(resolve));
  await life.end();
  expect(await starting).toMatchObject({ code: 'plugin-step-aborted', details: { phase: 'activate' } });
  expect(told).toBe(true);
  expect(steps).toEqual(['initialize', 'abort', 'shutdown', 'dispose']);
  expect(clock.pendingTimers()).toEqual([]);
});

test('a life that is ended before it has begun never runs the plugin', async () => {
  const { life } = setUp(Recorder);
  await life.end();
  await expect(life.start()).rejects.toMatchObject({ code: 'plugin-step-aborted' });
  expect(steps).toEqual([]);
});

test('an error of the SDK that a plugin throws keeps its text, and still names plugin and phase', async () => {
  class Failing extends Recorder {
    override initializeAsync(context: PluginContext): void {
      context.services.get({ id: 'undeclared' });
    }
  }
  const { life } = setUp(Failing);
  await expect(life.start()).rejects.toMatchObject({
    code: 'plugin-step-failed',
    details: { phase: 'initialize' },
    cause: { code: 'service-not-declared' },
  });
  await life.end();
});
