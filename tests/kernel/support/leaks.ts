// What must be gone once a host has stopped. Every suite that loads plugins ends with this.

import { expect } from 'vitest';
import type { Host } from '@datawarehouse/host';
import { settle } from '@datawarehouse/sdk/testing';
import type { FakeClock } from '@datawarehouse/sdk/testing';

const LISTENERS = ['uncaughtException', 'unhandledRejection'] as const;

/** Listeners of the process and listening sockets now. */
export function processHoldings(): Readonly<Record<string, number>> {
  const sockets = process.getActiveResourcesInfo().filter((name) => name === 'TCPServerWrap');
  return {
    sockets: sockets.length,
    ...Object.fromEntries(LISTENERS.map((name) => [name, process.listenerCount(name)])),
  };
}

/** Fails when a stopped host, its clock or the process still holds something of a plugin. */
export async function expectNoLeaks(
  host: Host,
  before: Readonly<Record<string, number>>,
  clock?: FakeClock,
): Promise<void> {
  // Handles that were closed go in the next turn.
  await settle();
  const { subscriptions, routes, services } = host.inventory();
  expect({ subscriptions, routes, services }).toEqual({ subscriptions: 0, routes: 0, services: 0 });
  if (clock !== undefined) expect(clock.pendingTimers()).toEqual([]);
  expect(processHoldings()).toEqual(before);
}
