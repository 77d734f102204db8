// Tests the plugin without a host: the SDK's test host gives it a bus, a store and a clock.

import { createTestHost } from '@datawarehouse/sdk/testing';
import { expect, it } from 'vitest';
import { HelloPlugin } from './hello-plugin.js';
import { Greet, Greeted } from './topics.js';

it('counts greetings and shows the count', async () => {
  const host = await createTestHost(HelloPlugin, { config: { greeting: 'Hello' } });
  const heard: string[] = [];
  host.bus.subscribe(Greeted, ({ payload }) => {
    heard.push(payload.text);
  });
  await host.bus.publishAndWait(Greet, { name: 'Ada' });
  await host.bus.publishAndWait(Greet, { name: 'x'.repeat(41) });
  await host.advance();
  expect(heard).toEqual(['Hello, Ada!']);
  expect((await host.request('GET', '/v1/hello')).body).toEqual({ count: 1 });
  await host.stop();
  host.assertNoLeaks();
});
