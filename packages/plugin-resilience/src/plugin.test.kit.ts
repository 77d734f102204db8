// The plugin in a context like the host's.

import { readFileSync } from 'node:fs';
import type { PluginManifest } from '@datawarehouse/sdk';
import { RESILIENCE } from '@datawarehouse/sdk';
import type { TestHost, TestHostOptions } from '@datawarehouse/sdk/testing';
import { createTestHost } from '@datawarehouse/sdk/testing';
import { plugin as Plugin } from './index.js';

/** What the package says of itself. */
export const { version, datawarehouse: manifest } = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
) as { version: string; datawarehouse: PluginManifest };

/** Where the routes of policies are. */
export const BASE = '/v1/resilience/policies';
/** A policy, but for its name. */
export const DB = { strategies: [{ type: 'bulkhead' }, { type: 'circuit-breaker' }, { type: 'timeout' }] };
const open: TestHost[] = [];

/** Starts the plugin; {@link stopAll} stops it. */
export async function start(options: TestHostOptions = {}) {
  const host = await createTestHost(Plugin, { manifest, ...options });
  open.push(host);
  const service = host.service(RESILIENCE);
  if (service === undefined) throw new Error('it provides no service');
  const subsystem = host.subsystems.get('resilience');
  if (subsystem === undefined) throw new Error('it has no subsystem');
  return { host, service, subsystem, plugin: host.plugin as InstanceType<typeof Plugin> };
}

/** Makes a request. */
export async function body(
  host: TestHost,
  method: 'GET' | 'PUT' | 'POST' | 'DELETE',
  path: string,
  sent?: unknown,
) {
  const response = await host.request(method, path, sent === undefined ? {} : { body: sent });
  return { status: response.status, body: response.body as Record<string, unknown> };
}

/** Stops every plugin that was started, none of which may leave anything behind. */
export async function stopAll(): Promise<void> {
  for (const host of open.splice(0)) {
    await host.stop();
    host.assertNoFailures();
    host.assertNoLeaks();
  }
}
