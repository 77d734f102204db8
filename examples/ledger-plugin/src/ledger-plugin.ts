// A plugin with replicated state of its own: it registers a state machine, gives it commands, and reads it.

import { CONSENSUS_ENGINE, PluginBase, SdkCompatibility, Type } from '@datawarehouse/sdk';
import type { IReplicatedMachine, PluginContext, RouteResponse } from '@datawarehouse/sdk';
import { Ledger, decodeAnswer, encodeCommand } from './ledger.js';
import type { LedgerCommand } from './ledger.js';

const Name = Type.String({ minLength: 1, maxLength: 100 });
const Amount = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });

/** Keeps accounts, replicated over the cluster. */
@SdkCompatibility('1.0.0')
export class LedgerPlugin extends PluginBase {
  readonly id = 'com.example.ledger';
  readonly name = 'Ledger';
  readonly version = '1.0.0';

  override async initializeAsync(context: PluginContext): Promise<void> {
    const engine = context.services.get(CONSENSUS_ENGINE);
    const ledger = engine.registerStateMachine('ledger', () => new Ledger());
    context.onDispose(() => ledger[Symbol.asyncDispose]());

    context.routes.add({
      method: 'POST',
      path: '/v1/ledger/deposits',
      summary: 'Put money into an account; an Idempotency-Key makes a retry harmless',
      body: Type.Object({ account: Name, amount: Amount }, { additionalProperties: false }),
      handler: async ({ body, headers }) => {
        const { account, amount } = body as { readonly account: string; readonly amount: number };
        return run(ledger, { op: 'deposit', account, amount }, headers['idempotency-key']);
      },
    });
    context.routes.add({
      method: 'POST',
      path: '/v1/ledger/transfers',
      summary: 'Move money between accounts; an Idempotency-Key makes a retry harmless',
      body: Type.Object({ from: Name, to: Name, amount: Amount }, { additionalProperties: false }),
      handler: async ({ body, headers }) => {
        const { from, to, amount } = body as {
          readonly from: string;
          readonly to: string;
          readonly amount: number;
        };
        return run(ledger, { op: 'transfer', from, to, amount }, headers['idempotency-key']);
      },
    });
    context.routes.add({
      method: 'GET',
      path: '/v1/ledger/accounts/:account',
      summary: 'The balance of an account, linearizably',
      params: Type.Object({ account: Name }),
      handler: async ({ params }) => {
        const request = new TextEncoder().encode(params['account'] ?? '');
        // Goes to a node with a replica when this one has none.
        const answer = await ledger.queryAsync(request);
        const found = JSON.parse(new TextDecoder().decode(answer)) as { readonly balance?: number };
        return found.balance === undefined
          ? { status: 404, body: { code: 'account-not-found' } }
          : { body: found };
      },
    });
  }
}

async function run(
  ledger: IReplicatedMachine<Ledger>,
  command: LedgerCommand,
  idempotencyKey: string | undefined,
): Promise<RouteResponse> {
  const options = idempotencyKey === undefined ? {} : { idempotencyKey };
  const { data } = await ledger.proposeAsync(encodeCommand(command), options);
  const answer = decodeAnswer(data ?? new Uint8Array(0));
  return answer.ok ? { body: answer } : { status: 409, body: { code: answer.reason } };
}
