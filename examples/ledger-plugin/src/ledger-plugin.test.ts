// The plugin without a cluster: the SDK's engine in memory stands for it.

import { CONSENSUS_ENGINE } from '@datawarehouse/sdk';
import { MemoryConsensus, createTestHost } from '@datawarehouse/sdk/testing';
import { expect, it } from 'vitest';
import { LedgerPlugin } from './ledger-plugin.js';

it('moves money once, however often a request is repeated', async () => {
  const engine = new MemoryConsensus();
  const host = await createTestHost(LedgerPlugin, {
    services: [{ token: CONSENSUS_ENGINE, service: engine }],
  });
  await host.request('POST', '/v1/ledger/deposits', { body: { account: 'ada', amount: 100 } });
  const transfer = () =>
    host.request('POST', '/v1/ledger/transfers', {
      body: { from: 'ada', to: 'grace', amount: 60 },
      headers: { 'idempotency-key': 'order-17' },
    });
  expect((await transfer()).body).toEqual({ ok: true, balance: 40 });
  expect((await transfer()).body).toEqual({ ok: true, balance: 40 });
  expect((await host.request('GET', '/v1/ledger/accounts/grace')).body).toEqual({ balance: 60 });
  expect((await host.request('GET', '/v1/ledger/accounts/nobody')).status).toBe(404);
  const refused = await host.request('POST', '/v1/ledger/transfers', {
    body: { from: 'grace', to: 'ada', amount: 61 },
  });
  expect(refused).toMatchObject({ status: 409, body: { code: 'insufficient' } });
  await host.stop();
  host.assertNoLeaks();
  // The machine goes with the plugin.
  expect(engine.groupIds()).toEqual([]);
});
